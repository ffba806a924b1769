"""A fleet in memory: thousands of devices that poll, try, keep or give up, and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from potstill.fleet.formats.report import Report
from potstill.fleet.publisher.inbox import DeviceRecord, count, counted
from potstill.fleet.publisher.rollout import Rollout, Rules, begin, step

STABLE, CANDIDATE = 1, 2


@final
@dataclass(frozen=True, kw_only=True)
class Round:
    """After one round of polls: share that may take the candidate, devices that run it, and the rollout's state."""

    share: float
    num_on_candidate: int
    state: str


@final
@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What a simulated rollout came to."""

    rollout: Rollout
    rounds: Sequence[Round]
    records: Mapping[str, DeviceRecord]


@dataclass(kw_only=True)
class _Device:
    """One device; it keeps the candidate or gives it up."""

    id: str
    is_failing: bool
    version: int = STABLE
    is_barred: bool = False
    sequence: int = 0
    sent: list[Report] = field(default_factory=list)

    def say(self, event: str, version: int) -> Report:
        self.sequence += 1
        report = Report(
            device=self.id,
            sequence=self.sequence,
            time="2026-01-01T00:00:00+00:00",
            cohort="default",
            model="m",
            device_class="any",
            runtime="0",
            event=event,
            version=version,
        )
        self.sent.append(report)
        return report


def simulate_fleet(
    *,
    num_devices: int,
    failing: float,
    online: float,
    seed: int = 0,
    rings: Sequence[float] = (0.05, 0.25, 1.0),
    rules: Rules | None = None,
    num_rounds: int = 60,
    replayed: int = 0,
) -> Simulation:
    """Rolls a candidate out with the publisher's own rules until nothing changes.

    Args:
        num_devices: in the fleet.
        failing: share of the devices on which the candidate does badly.
        online: share of the devices that poll in a round.
        seed: of ids, failures and polls.
        rings: of the rollout.
        rules: of the rollout.
        num_rounds: at most.
        replayed: old reports that an attacker sends again in each round.
    """
    random = np.random.default_rng(seed)
    fails_N = random.random(num_devices) < failing
    devices = [_Device(id=random.bytes(16).hex(), is_failing=bool(fails)) for fails in fails_N]
    records = {device.id: DeviceRecord(device=device.id) for device in devices}
    start = Rollout(cohort="default", model="m", stable=STABLE, history=(STABLE,), rules=rules or Rules())
    rollout = begin(start, CANDIDATE, rings)
    for device in devices:
        _take_in(records, device.say("enrolled", STABLE))
    rounds: list[Round] = []
    # What an attacker does must not change who is online.
    attacker = np.random.default_rng(seed + 1)
    for _ in range(num_rounds):
        assignment = rollout.assignment()
        for position in np.flatnonzero(random.random(num_devices) < online):
            device = devices[position]
            for report in _poll(device, assignment.version_for(device.id) or STABLE):
                _take_in(records, report)
        for device in attacker.choice(np.array(devices, dtype=object), replayed):
            _take_in(records, device.sent[0])
        rollout = step(rollout, count(iter(records.values()), rollout))
        on_candidate = sum(device.version == CANDIDATE for device in devices)
        rounds.append(Round(share=rollout.share, num_on_candidate=on_candidate, state=rollout.state))
        if rollout.state in ("idle", "stopped"):
            break
    return Simulation(rollout=rollout, rounds=rounds, records=records)


def _poll(device: _Device, wanted: int) -> list[Report]:
    if wanted <= device.version or device.is_barred:
        return []
    reports = [device.say("installed", wanted)]
    if device.is_failing:
        device.is_barred = True
        return [*reports, device.say("reverted", wanted)]
    device.version = wanted
    return [*reports, device.say("committed", wanted)]


def _take_in(records: dict[str, DeviceRecord], report: Report) -> None:
    records[report.device], _ = counted(records[report.device], report)
