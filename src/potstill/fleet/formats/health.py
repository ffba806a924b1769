"""What must hold on a device before a new release is kept; signed with the release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, final

from potstill.errors import ConfigurationError


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class HealthRules:
    """Limits of the health window.

    Attributes:
        num_predictions: predictions that the window lasts.
        max_hours: a device that predicts less is judged after this time on what there is.
        max_error_rate: share of predictions that fail.
        max_latency_factor: median latency, as a multiple of that of the release before on the same device.
        max_confidence_drop: mean probability of the answers, below that of the release before.
        max_starts: times that the program may start within the window; a model that kills it is stopped by this.
    """

    num_predictions: int = 200
    max_hours: float = 72.0
    max_error_rate: float = 0.02
    max_latency_factor: float = 3.0
    max_confidence_drop: float = 0.1
    max_starts: int = 20

    def __post_init__(self) -> None:
        whole = self.num_predictions >= 1 and self.max_starts >= 1
        if not whole or not self.max_hours > 0 or not 0 <= self.max_error_rate <= 1:
            raise ConfigurationError(
                "health: num_predictions and max_starts are at least 1, max_hours is above 0, max_error_rate between "
                "0 and 1"
            )
        if not self.max_latency_factor > 0 or not 0 <= self.max_confidence_drop <= 1:
            raise ConfigurationError("health: max_latency_factor is above 0, max_confidence_drop between 0 and 1")

    def to_json(self) -> dict[str, Any]:
        """All limits."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> HealthRules:
        """Reads them; limits of a later version that this one doesn't know are left alone.

        Raises:
            TypeError, ValueError, ConfigurationError: not in their form.
        """
        whole = ("num_predictions", "max_starts")
        known = {option.name for option in fields(cls)}
        found = {str(k): int(v) if k in whole else float(v) for k, v in values.items() if k in known}
        return cls(**found)  # type: ignore[arg-type]
