"""What a client asks for when it makes a job, checked."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from potstill.server.errors import ApiError, invalid
from potstill.server.jobs.bases import BASES
from potstill.server.pages import check_metadata

LONGEST_SUFFIX = 64
LIMITS = {"n_epochs": (1, 50), "batch_size": (1, 256), "learning_rate_multiplier": (0, 1000)}


class JobRequest(msgspec.Struct, kw_only=True):
    """Body of `fine_tuning.jobs.create`."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: str | None = None
    seed: int | None = None
    metadata: dict[str, Any] | None = None
    hyperparameters: dict[str, Any] | None = None
    method: dict[str, Any] | None = None
    integrations: list[Any] | None = None


def check_request(request: JobRequest, further: Collection[str] = ()) -> None:
    """Refuses what can't be done.

    Args:
        request: of a client.
        further: names of bases that this server has besides those that are always there.

    Raises:
        ApiError: 400.
    """
    if request.model not in BASES and request.model not in further:
        raise invalid(
            f"The model '{request.model[:200]}' is not available for fine-tuning. Students are trained from "
            f"{', '.join((*BASES, *further))}.",
            "model",
            "model_not_available",
        )
    if request.suffix is not None and not 1 <= len(request.suffix) <= LONGEST_SUFFIX:
        raise invalid(f"'suffix' has 1 to {LONGEST_SUFFIX} characters.", "suffix", "invalid_value")
    if request.integrations:
        raise invalid("Integrations are not served; events and result files hold all figures.", "integrations")
    kind = (request.method or {}).get("type", "supervised")
    if kind != "supervised":
        raise invalid(
            f"The method '{str(kind)[:50]}' is not served; students are trained with 'supervised'.",
            "method",
            "unsupported_method",
        )
    check_metadata(request.metadata)
    hyperparameters(request)


def hyperparameters(request: JobRequest) -> dict[str, Any]:
    """`n_epochs`, `batch_size` and `learning_rate_multiplier`, numbers or "auto".

    Raises:
        ApiError: 400.
    """
    supervised = (request.method or {}).get("supervised") or {}
    given = {**(request.hyperparameters or {}), **(supervised.get("hyperparameters") or {})}
    found: dict[str, Any] = {}
    for name, (low, high) in LIMITS.items():
        value = given.get(name, "auto")
        if value == "auto" or value is None:
            found[name] = "auto"
        elif isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value == 0:
            raise _out_of_range(name, value, low, high)
        else:
            found[name] = value if name == "learning_rate_multiplier" else round(value)
    return found


def _out_of_range(name: str, value: Any, low: float, high: float) -> ApiError:
    return invalid(f"'{name}' is {str(value)[:50]}; expected 'auto' or a number from {low} to {high}.", name)
