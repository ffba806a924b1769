"""What a device knows about its two slots. One file, replaced as a whole: the switch is one rename."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, final

from potstill.errors import ConfigurationError, IntegrityError
from potstill.files import canonical_json, write_atomic
from potstill.fleet.device.place import SLOTS, Device
from potstill.fleet.formats.health import HealthRules

NAME = "state.json"
FORMAT_VERSION = 1
MAX_REPORTS = 200


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A release in a slot.

    Attributes:
        version: of the release.
        digest: of its manifest.
        health: what must hold before it is kept.
    """

    version: int
    digest: str
    health: HealthRules = field(default_factory=HealthRules)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """All of it.

    Attributes:
        active: slot that serves; None before the first release.
        slots: slot -> what is in it; a slot that is being written holds nothing.
        trial_since: when the active slot's health window began; None once it was kept.
        starts: times that the program started within the window.
        barred: digests that this device gave up, with why; it never takes them again.
        usual: health of the release that was kept last, which the next one is compared with.
        refused: the release that was refused last, and why; it is reported once.
        sequence: number of the last report.
        reports: what was not delivered yet.
    """

    active: str | None = None
    slots: Mapping[str, Installed | None] = field(default_factory=lambda: dict.fromkeys(SLOTS))
    trial_since: str | None = None
    starts: int = 0
    barred: Mapping[str, str] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""
    sequence: int = 0
    reports: tuple[Mapping[str, Any], ...] = ()

    @property
    def current(self) -> Installed | None:
        """What serves."""
        return self.slots[self.active] if self.active else None

    @property
    def spare(self) -> str:
        """The slot that a new release is written to: never the one that serves, nor what a trial would go back to."""
        if self.active is None:
            return SLOTS[0]
        return SLOTS[1 - SLOTS.index(self.active)]

    @property
    def previous(self) -> Installed | None:
        """What lies in the slot that doesn't serve."""
        return self.slots[self.spare] if self.active else None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}


def read_state(device: Device) -> State:
    """The state of a device; an empty one before the first release.

    Raises:
        IntegrityError: it is damaged.
    """
    path = device.folder / NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return State()
    try:
        values = json.loads(content)
        if values.pop("format_version") != FORMAT_VERSION:
            raise ValueError("of another version")
        slots = {name: _installed(values["slots"][name]) for name in SLOTS}
        state = State(**{**values, "slots": slots, "reports": tuple(values["reports"])})
        if state.active is not None and state.slots[state.active] is None:
            raise ValueError("the active slot is empty")
    except (KeyError, TypeError, ValueError, AttributeError, ConfigurationError) as error:
        raise IntegrityError(f"{path} is not what was written: {error!r}. Enrol the device again.") from error
    return state


def save_state(device: Device, state: State) -> None:
    """Replaces the state; a power cut leaves the old or the new one."""
    write_atomic(device.folder / NAME, canonical_json(state.to_json()))


def with_report(state: State, device: Device, event: str, about: Installed | None, **more: Any) -> State:
    """The state with one more report to deliver: what happened and what is said of it are one write."""
    from potstill import __version__

    values = {
        "device": device.id,
        "sequence": state.sequence + 1,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cohort": device.cohort,
        "model": device.model,
        "device_class": device.device_class,
        "runtime": __version__,
        "event": event,
        "version": about.version if about else None,
        "digest": about.digest if about else "",
        **more,
    }
    return replace(state, sequence=state.sequence + 1, reports=(*state.reports, values)[-MAX_REPORTS:])


def _installed(values: Any) -> Installed | None:
    if values is None:
        return None
    return Installed(
        version=int(values["version"]), digest=str(values["digest"]), health=HealthRules.from_json(values["health"])
    )
