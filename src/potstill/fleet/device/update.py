"""One update of a device: what should run here, is it fit, fetch it, test it, switch to it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, final

from potstill import __version__
from potstill.errors import BundleError, UpdateRefusedError
from potstill.files import locked
from potstill.fleet.device.health import read_figures
from potstill.fleet.device.install import Fetched, clear_downloads, fetch_release, put_in_slot
from potstill.fleet.device.metadata import disk_errors, explained, refresh, sync_metadata
from potstill.fleet.device.place import Device
from potstill.fleet.device.state import Installed, State, read_state, save_state, with_report
from potstill.fleet.formats.assignment import Assignment, parse_assignment
from potstill.fleet.formats.names import assignment_target, release_target
from potstill.fleet.formats.release import ReleaseFacts, parse_release, why_unfit
from potstill.runtime.manifest import NAME

if TYPE_CHECKING:
    from tuf.ngclient import Updater

Did = Literal["nothing", "installed", "reverted", "refused"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What an update did.

    Attributes:
        did: `nothing`, `installed`, `reverted` (the release that ran was revoked) or `refused`.
        version: that runs now.
        reason: in words.
        downloaded_bytes: of targets.
        ways: file -> how it came.
    """

    did: Did
    version: int | None
    reason: str
    downloaded_bytes: int = 0
    ways: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        names = ("did", "version", "reason", "downloaded_bytes")
        return {**{name: getattr(self, name) for name in names}, "ways": self.ways or {}}


def update(device: Device) -> Outcome:
    """Brings a device up to date, or leaves it as it is.

    Raises:
        ServerUnavailableError: the server can't be reached.
        UpdateRefusedError: what it serves must not be used.
        UpdateFailedError: the disk is full or broken.
    """
    with locked(device.folder / ".update.lock"):
        updater = refresh(device)
        assignment = read_assignment(device, updater)
        with alone(device):
            state, outcome = _give_up_revoked(device, read_state(device), assignment)
        wanted = assignment.version_for(device.id)
        current = state.current
        if wanted is None or (current and wanted <= current.version):
            found = outcome or Outcome(did="nothing", version=current.version if current else None, reason="")
            return replace(found, reason=found.reason or _why_nothing(wanted, current))
        return _take(device, state, updater, _facts(device, updater, wanted))


def alone(device: Device) -> AbstractContextManager[None]:
    """One process at a time changes a device's state; not held while something is fetched, since what serves waits."""
    return locked(device.folder / ".lock")


def read_assignment(device: Device, updater: Updater) -> Assignment:
    """The verified assignment of the device's cohort.

    Raises:
        UpdateRefusedError: there is none, or it is that of another cohort.
    """
    name = assignment_target(device.cohort, device.model)
    with explained(device.source):
        info = updater.get_targetinfo(name)
        if info is None:
            raise UpdateRefusedError(
                f"{device.source} has no model {device.model!r} for cohort {device.cohort!r}. Publish one, or enrol "
                "this device with other names."
            )
        path = device.folder / "assignment.json"
        if updater.find_cached_target(info, str(path)) is None:
            updater.download_target(info, str(path))
            # Something changed, so there is something to lose in a power cut.
            sync_metadata(device)
    return parse_assignment(path.read_bytes(), cohort=device.cohort, model=device.model)


def revert(device: Device, state: State, reason: str, *, bar: bool) -> State:
    """Back to the other slot, in one write; the caller holds the lock and knows that there is something in it.

    Args:
        device: whose state it is.
        state: before.
        reason: for the report.
        bar: never take these bytes again.
    """
    given_up = state.current
    assert given_up is not None and state.previous is not None, "the caller looked"
    barred = {**state.barred, given_up.digest: reason} if bar else state.barred
    changed = replace(state, active=state.spare, trial_since=None, starts=0, barred=barred)
    health = read_figures(device, given_up.digest).summary()
    changed = with_report(changed, device, "reverted", given_up, reason=reason, health=health)
    save_state(device, changed)
    return changed


def _give_up_revoked(device: Device, state: State, assignment: Assignment) -> tuple[State, Outcome | None]:
    current, previous = state.current, state.previous
    if current is None or current.version not in assignment.revoked or not can_go_back(device, state):
        return state, None
    assert previous is not None, "checked by can_go_back"
    if previous.version in assignment.revoked:
        return state, None
    state = revert(device, state, "revoked by the publisher", bar=True)
    why = f"release {current.version} was revoked"
    return state, Outcome(did="reverted", version=previous.version, reason=why)


def can_go_back(device: Device, state: State) -> bool:
    """Is there a release in the other slot that still is what it was, and that this device didn't give up itself?"""
    from potstill.runtime import load

    previous = state.previous
    if previous is None or previous.digest in state.barred:
        return False
    try:
        return load(device.slot(state.spare)).digest == previous.digest
    except BundleError:
        return False


def _facts(device: Device, updater: Updater, version: int) -> ReleaseFacts:
    with explained(device.source):
        info = updater.get_targetinfo(release_target(device.model, version, NAME))
    if info is None:
        raise UpdateRefusedError(
            f"release {version} of {device.model!r} is assigned, and not signed by the targets keys. What runs on this "
            "device goes on."
        )
    facts = parse_release(info.custom)
    if (facts.model, facts.version, facts.digest) != (device.model, version, info.hashes.get("sha256")):
        raise UpdateRefusedError(f"what is signed about release {version} of {device.model!r} is that of another one")
    return facts


def _take(device: Device, state: State, updater: Updater, facts: ReleaseFacts) -> Outcome:
    """Installs a release that is newer than what runs."""
    about = Installed(version=facts.version, digest=facts.digest, health=facts.health)
    now = state.current.version if state.current else None
    if why := state.barred.get(facts.digest):
        return Outcome(did="nothing", version=now, reason=f"release {facts.version} was given up here before: {why}")
    if why := why_unfit(facts, device_class=device.device_class, runtime=__version__):
        return _refuse(device, about, why, bar=False)
    if state.current and state.current.digest == facts.digest:
        return _renumber(device, about)
    try:
        fetched = fetch_release(device, updater, facts)
    except BundleError as error:
        clear_downloads(device)
        return _refuse(device, about, f"it fails on this device: {error}", bar=True)
    with alone(device), disk_errors():
        _switch(device, fetched, about)
    clear_downloads(device)
    return Outcome(
        did="installed",
        version=facts.version,
        reason=f"release {facts.version} passed its own test" + (", its health is watched" if now else ""),
        downloaded_bytes=fetched.downloaded_bytes,
        ways=dict(fetched.ways),
    )


def _switch(device: Device, fetched: Fetched, about: Installed) -> None:
    """Puts a release into the spare slot and lets it serve."""
    # What serves may have kept or given up a release meanwhile.
    state = read_state(device)
    if state.trial_since and can_go_back(device, state):
        # What a trial would go back to must not be overwritten: go back first, then take the newer one.
        state = revert(device, state, f"release {about.version} came before the window ended", bar=False)
    spare = state.spare
    if state.slots[spare] is not None:
        # From here on nothing goes back to what is about to be overwritten.
        state = replace(state, slots={**state.slots, spare: None})
        save_state(device, state)
    put_in_slot(device, fetched, spare)
    save_state(device, _switched(device, state, about))


def _switched(device: Device, state: State, about: Installed) -> State:
    """The state in which the new release serves. A first one has nothing to be compared with, and is kept at once."""
    spare, current = state.spare, state.current
    usual = read_figures(device, current.digest).to_json() if current else {}
    changed = replace(
        state,
        active=spare,
        slots={**state.slots, spare: about},
        trial_since=datetime.now(UTC).isoformat() if current else None,
        starts=0,
        usual=usual if usual.get("num_predictions") else state.usual,
    )
    return with_report(changed, device, "installed" if current else "committed", about)


def _renumber(device: Device, about: Installed) -> Outcome:
    """The same bytes under a newer version, as in a rollback of what this device never took."""
    with alone(device):
        state = read_state(device)
        if state.active is None or state.current is None or state.current.digest != about.digest:
            return Outcome(
                did="nothing", version=None, reason="what runs changed meanwhile; the next update looks again"
            )
        changed = replace(state, slots={**state.slots, state.active: about})
        save_state(device, with_report(changed, device, "installed" if state.trial_since else "committed", about))
    return Outcome(did="installed", version=about.version, reason="the same bytes run here already")


def _refuse(device: Device, about: Installed, why: str, *, bar: bool) -> Outcome:
    """Says why once, however often the same release is offered."""
    with alone(device):
        state = read_state(device)
        said = f"{about.digest} {why}"
        if state.refused != said:
            barred = {**state.barred, about.digest: why} if bar else state.barred
            changed = replace(state, barred=barred, refused=said)
            save_state(device, with_report(changed, device, "refused", about, reason=why[:1000]))
    return Outcome(did="refused", version=state.current.version if state.current else None, reason=why)


def _why_nothing(wanted: int | None, current: Installed | None) -> str:
    if wanted is None:
        return "no release for this device yet"
    assert current is not None, "checked by the caller"
    return "up to date" if wanted == current.version else f"release {current.version} runs, {wanted} is offered"
