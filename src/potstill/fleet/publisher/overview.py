"""All that the publisher sees of a fleet, for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from potstill.fleet.formats.assignment import position
from potstill.fleet.publisher.drift import Drift, find_drift
from potstill.fleet.publisher.inbox import DeviceRecord, count, read_records
from potstill.fleet.publisher.place import Fleet
from potstill.fleet.publisher.repository import read_expiry
from potstill.fleet.publisher.rollout import Counts, Rollout, read_rollout
from potstill.fleet.publisher.steer import lines_of

MAX_EVENTS = 50


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A model in a cohort.

    Attributes:
        rollout: its state.
        counts: of the candidate in the open rings.
        num_devices: that ever reported.
        versions: version (or `-`) -> devices that run it.
        num_reverted: times that a device gave a release up.
        rings: devices in each ring alone.
        health: figures over all devices.
        events: what happened, newest first.
        drift: of the inputs since the release became stable.
    """

    rollout: Rollout
    counts: Counts
    num_devices: int
    versions: Mapping[str, int]
    num_reverted: int
    rings: Sequence[int]
    health: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    drift: Drift

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        counts = self.counts
        return {
            **self.rollout.to_json(),
            "devices_in_open_rings": counts.num_devices,
            "committed": counts.num_committed,
            "failed": counts.num_failed,
            "num_devices": self.num_devices,
            "versions": dict(self.versions),
            "num_reverted": self.num_reverted,
            "devices_by_ring": list(self.rings),
            "health": dict(self.health),
            "events": [dict(event) for event in self.events],
            "drift": self.drift.to_json(),
        }


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """A fleet.

    Attributes:
        name: of its folder.
        lines: one a cohort and model.
        expires: role -> when its metadata must be signed again.
    """

    name: str
    lines: Sequence[Line]
    expires: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"fleet": self.name, "lines": [line.to_json() for line in self.lines], "expires": dict(self.expires)}


def overview(fleet: Fleet) -> Overview:
    """Reads all of it.

    Raises:
        IntegrityError: something is damaged.
    """
    records = list(read_records(fleet))
    lines = [_line(fleet, read_rollout(fleet, cohort, model), records) for cohort, model in lines_of(fleet)]
    expires = {role: when.isoformat() for role, when in read_expiry(fleet).items()}
    return Overview(name=fleet.folder.name, lines=lines, expires=expires)


def _line(fleet: Fleet, rollout: Rollout, records: Sequence[DeviceRecord]) -> Line:
    mine = [r for r in records if (r.cohort, r.model) == (rollout.cohort, rollout.model)]
    events = [{"device": r.device, **event} for r in mine for event in r.events]
    given_up = [event for event in events if event["event"] in ("reverted", "refused")]
    return Line(
        rollout=rollout,
        counts=count(iter(mine), rollout),
        num_devices=len(mine),
        versions=dict(Counter(str(r.version or "-") for r in mine)),
        num_reverted=len(given_up),
        rings=_by_ring(rollout, mine),
        health=_health(mine),
        events=sorted(events, key=lambda event: str(event["time"]), reverse=True)[:MAX_EVENTS],
        drift=find_drift(fleet, rollout, mine),
    )


def _by_ring(rollout: Rollout, records: Sequence[DeviceRecord]) -> list[int]:
    found = [0] * len(rollout.rings)
    for record in records:
        found[next(i for i, share in enumerate(rollout.rings) if position(record.device) < share)] += 1
    return found


def _health(records: Sequence[DeviceRecord]) -> dict[str, Any]:
    """Sums over devices; a device's figures are its own word."""
    predictions = sum(int(r.health.get("num_predictions", 0)) for r in records)
    errors = sum(int(r.health.get("num_errors", 0)) for r in records)
    confidence = sum(float(r.health.get("sum_confidence", 0.0)) for r in records)
    outside = sum(int(r.health.get("num_out_of_scope", 0)) for r in records)
    classes: Counter[str] = Counter()
    for record in records:
        classes.update({str(k): int(v) for k, v in record.health.get("classes", {}).items()})
    answers = predictions - errors
    return {
        "num_predictions": predictions,
        "error_rate": errors / predictions if predictions else None,
        "confidence": confidence / answers if answers else None,
        "out_of_scope": outside / answers if answers else None,
        "classes": dict(classes.most_common(20)),
    }
