"""What devices report: checked, counted once, and kept as one small file a device."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from potstill.errors import IntegrityError
from potstill.files import canonical_json, digest, locked, write_atomic
from potstill.fleet.formats.assignment import position
from potstill.fleet.formats.figures import parse_figures
from potstill.fleet.formats.report import Report, open_report
from potstill.fleet.publisher.place import Fleet
from potstill.fleet.publisher.rollout import Counts, Rollout

MAX_EVENTS = 40
MAX_SAMPLE_FILES = 20
# What a release came to on a device; a later one counts.
OUTCOMES = {"committed": "committed", "reverted": "failed", "refused": "failed", "installed": "trying"}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceRecord:
    """What the publisher knows of a device.

    Attributes:
        device: id.
        cohort, model, device_class, runtime, seen: of its last report.
        sequence: of its last report.
        last_digest: of that report, to notice two devices with one key.
        version: that it runs, as far as it said.
        outcomes: version -> `committed`, `failed` or `trying`.
        health: figures that it sent last; they count from the day the release was installed.
        recent: the same since the report before.
        events: what happened on it, newest last.
        num_conflicts: reports with a number that another report had: a copied key.
    """

    device: str
    cohort: str = ""
    model: str = ""
    device_class: str = ""
    runtime: str = ""
    seen: str = ""
    sequence: int = 0
    last_digest: str = ""
    version: int | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)
    recent: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()
    num_conflicts: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        mappings = {name: dict(values[name]) for name in ("outcomes", "health", "recent")}
        return {**values, **mappings, "events": list(self.events)}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A report that was in order.

    Attributes:
        report: what it says.
        is_new: False when it came before; nothing changed then.
    """

    report: Report
    is_new: bool


def accept_report(fleet: Fleet, content: bytes) -> Accepted:
    """Takes in a report as it came, once; a web server's route calls this.

    Safe for several processes; a report that comes again, also an old one played again, changes nothing.

    Raises:
        ReportError: it is not in its form, or not signed by the device that it names.
        MissingExtraError: the package that checks signatures is not installed.
    """
    report = open_report(content)
    fleet.inbox.mkdir(parents=True, exist_ok=True)
    with locked(fleet.inbox / ".lock"):
        before = read_record(fleet, report.device) or DeviceRecord(device=report.device)
        after, is_new = counted(before, report)
        if is_new and report.samples:
            _keep_samples(fleet, report)
        if after != before:
            write_atomic(_path(fleet, report.device), canonical_json(after.to_json()))
    return Accepted(report=report, is_new=is_new)


def _keep_samples(fleet: Fleet, report: Report) -> None:
    """Keeps what a device sent for teaching; no device fills the disk before the next round takes it."""
    folder = fleet.inbox / "samples"
    if folder.is_dir() and len(list(folder.glob(f"{report.device}-*.json"))) >= MAX_SAMPLE_FILES:
        return
    content = canonical_json([dict(sample) for sample in report.samples])
    write_atomic(folder / f"{report.device}-{report.sequence:012d}.json", content)


def counted(record: DeviceRecord, report: Report) -> tuple[DeviceRecord, bool]:
    """The record with a report in it, and whether it was new; pure, for servers with a store of their own."""
    said = digest(report.to_json())
    if report.sequence <= record.sequence:
        is_copy = report.sequence == record.sequence and said != record.last_digest
        return (replace(record, num_conflicts=record.num_conflicts + 1) if is_copy else record), False
    outcomes = dict(record.outcomes)
    if report.version is not None and report.event in OUTCOMES:
        outcomes[str(report.version)] = OUTCOMES[report.event]
    event = {"event": report.event, "version": report.version, "reason": report.reason, "time": report.time}
    is_event = report.event not in ("health", "samples") or bool(report.reason)
    changed = replace(
        record,
        **{name: getattr(report, name) for name in ("cohort", "model", "device_class", "runtime")},
        seen=report.time,
        sequence=report.sequence,
        last_digest=said,
        version=_running(record, report),
        outcomes=dict(sorted(outcomes.items(), key=lambda item: int(item[0]))[-MAX_EVENTS:]),
        health=report.health or record.health,
        recent=_recent(record, report),
        events=((*record.events, event) if is_event else record.events)[-MAX_EVENTS:],
    )
    return changed, True


def read_record(fleet: Fleet, device: str) -> DeviceRecord | None:
    """The record of a device; None for an unknown one.

    Raises:
        IntegrityError: it is damaged.
    """
    path = _path(fleet, device)
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_bytes())
        return DeviceRecord(**{**values, "events": tuple(values["events"])})
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"{path} is not what was written: {error!r}. Remove it; the device reports again."
        ) from error


def read_records(fleet: Fleet) -> Iterator[DeviceRecord]:
    """All devices that ever reported."""
    for path in sorted((fleet.inbox / "devices").glob("*.json")):
        record = read_record(fleet, path.stem)
        if record is not None:
            yield record


def counts_of(fleet: Fleet, rollout: Rollout) -> Counts:
    """How the devices in the open rings do with the candidate."""
    return count(read_records(fleet), rollout)


def count(records: Iterator[DeviceRecord], rollout: Rollout) -> Counts:
    """Counts devices of the rollout's cohort and model within its share."""
    number = committed = failed = 0
    for record in records:
        if (record.cohort, record.model) != (rollout.cohort, rollout.model) or position(record.device) >= rollout.share:
            continue
        outcome = record.outcomes.get(str(rollout.candidate))
        number += 1
        committed += outcome == "committed"
        failed += outcome == "failed"
    return Counts(num_devices=number, num_committed=committed, num_failed=failed)


def _recent(record: DeviceRecord, report: Report) -> Mapping[str, Any]:
    """What happened since the report before; all of it where that was about another release."""
    if not report.health:
        return record.recent
    if report.version != record.version or not record.health:
        return report.health
    return parse_figures(report.health).since(parse_figures(record.health)).summary()


def _running(record: DeviceRecord, report: Report) -> int | None:
    """A refused release never ran; a reverted one runs no more, and what runs instead is said by the next report."""
    if report.event in ("installed", "committed", "health"):
        return report.version
    return None if report.event == "reverted" else record.version


def _path(fleet: Fleet, device: str) -> Path:
    return fleet.inbox / "devices" / f"{device}.json"
