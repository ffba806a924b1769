"""Do devices see other inputs than they did? Confidence, mix of answers and out-of-scope share, now and then."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from potstill.files import canonical_json, write_atomic
from potstill.fleet.formats.figures import Figures, parse_figures
from potstill.fleet.publisher.inbox import DeviceRecord
from potstill.fleet.publisher.place import Fleet
from potstill.fleet.publisher.rollout import Rollout

# Fewer predictions say nothing of a mix of classes.
LEAST_PREDICTIONS = 200
MAX_CONFIDENCE_CHANGE = 0.05
MAX_MIX_CHANGE = 0.15
MAX_SCOPE_CHANGE = 0.05


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """What changed since the release became stable.

    Attributes:
        version: that is compared.
        num_predictions: since the reports before, over all devices.
        confidence: change of the mean probability of the answers; None with too few predictions.
        mix: half the sum of the absolute changes of the answers' shares, 0 to 1.
        out_of_scope: change of the share that looked like none of the classes.
        found: what is beyond its limit, in words.
    """

    version: int | None
    num_predictions: int
    confidence: float | None = None
    mix: float | None = None
    out_of_scope: float | None = None
    found: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "found": list(self.found)}


def pooled(records: Iterable[DeviceRecord], rollout: Rollout) -> Figures:
    """Figures of the stable release over all devices, since the reports before."""
    total = Figures()
    for record in records:
        mine = (record.cohort, record.model, record.version) == (rollout.cohort, rollout.model, rollout.stable)
        if mine and record.recent:
            total = total.plus(parse_figures(record.recent))
    return total


def find_drift(fleet: Fleet, rollout: Rollout, records: Iterable[DeviceRecord]) -> Drift:
    """Compares with the first figures of the stable release, which are kept when there are enough of them."""
    now = pooled(records, rollout)
    if now.num_answers < LEAST_PREDICTIONS:
        return Drift(version=rollout.stable, num_predictions=now.num_predictions)
    reference = _reference(fleet, rollout)
    if reference is None:
        content = {"version": rollout.stable, "figures": now.to_json()}
        write_atomic(_path(fleet, rollout), canonical_json(content))
        reference = now
    return compare(now, reference, version=rollout.stable)


def compare(now: Figures, reference: Figures, *, version: int | None = None) -> Drift:
    """Drift between two windows that both hold answers."""
    confidence = (now.confidence or 0.0) - (reference.confidence or 0.0)
    names = set(now.classes) | set(reference.classes)
    mix = 0.5 * sum(abs(_share(now, name) - _share(reference, name)) for name in names)
    scope = now.num_out_of_scope / now.num_answers - reference.num_out_of_scope / reference.num_answers
    noise = math.hypot(now.confidence_error, reference.confidence_error)
    found = []
    if abs(confidence) > max(MAX_CONFIDENCE_CHANGE, 3 * noise):
        found.append(f"the mean probability changed by {confidence:+.3f}")
    if mix > MAX_MIX_CHANGE:
        found.append(f"{mix:.1%} of the answers are of other classes than before")
    if abs(scope) > MAX_SCOPE_CHANGE:
        found.append(f"the share of inputs out of scope changed by {scope:+.1%}")
    return Drift(
        version=version,
        num_predictions=now.num_predictions,
        confidence=confidence,
        mix=mix,
        out_of_scope=scope,
        found=tuple(found),
    )


def _share(figures: Figures, name: str) -> float:
    return figures.classes.get(name, 0) / figures.num_answers


def _reference(fleet: Fleet, rollout: Rollout) -> Figures | None:
    try:
        values = json.loads(_path(fleet, rollout).read_bytes())
        return parse_figures(values["figures"]) if values["version"] == rollout.stable else None
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _path(fleet: Fleet, rollout: Rollout) -> Path:
    return fleet.folder / "references" / rollout.cohort / f"{rollout.model}.json"
