"""A rollout: a release goes to growing rings of devices while it does well, and stops by itself where it doesn't."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, final

from potstill.errors import ConfigurationError, IntegrityError
from potstill.files import canonical_json, write_atomic
from potstill.fleet.formats.assignment import Assignment
from potstill.fleet.formats.names import assignment_target, cohort_role
from potstill.fleet.publisher.place import Fleet
from potstill.fleet.publisher.repository import read_targets, write_target

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Targets

RINGS = (0.05, 0.25, 1.0)
State = Literal["idle", "running", "waiting", "paused", "stopped"]
MAX_LOG = 200


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """When a rollout goes on and when it stops.

    Attributes:
        success_share: of the devices in the open rings that must have kept the release before the next ring opens.
        error_share: of them that may refuse or revert it; the rollout stops at it.
        min_devices: that the open rings must hold before anything goes on by itself.
        approval: a person must open each ring.
    """

    success_share: float = 0.9
    error_share: float = 0.1
    min_devices: int = 1
    approval: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.success_share <= 1 or not 0 < self.error_share <= 1 or self.min_devices < 1:
            raise ConfigurationError(
                "a rollout's success_share and error_share lie above 0 and at most at 1, min_devices is at least 1"
            )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Devices in the open rings: all that are known, and those that kept or gave up the candidate."""

    num_devices: int = 0
    num_committed: int = 0
    num_failed: int = 0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """A cohort's rollouts of one model.

    Attributes:
        cohort, model: whose.
        stable: version that all devices get.
        candidate: version that is being rolled out.
        rings: shares of the devices, growing to 1.
        ring: index of the largest open ring.
        state: `idle`: nothing under way; `waiting`: for a person; `stopped`: by too many errors.
        revoked: versions that devices must give up.
        history: versions that were stable, oldest first.
        rules: see `Rules`.
        log: what happened, newest last.
    """

    cohort: str
    model: str
    stable: int | None = None
    candidate: int | None = None
    rings: Sequence[float] = RINGS
    ring: int = 0
    state: State = "idle"
    revoked: Sequence[int] = ()
    history: Sequence[int] = ()
    rules: Rules = field(default_factory=Rules)
    log: Sequence[Mapping[str, Any]] = ()

    @property
    def share(self) -> float:
        """Of the devices that may take the candidate now."""
        return float(self.rings[self.ring]) if self.candidate is not None else 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "share": self.share}

    def assignment(self) -> Assignment:
        """What devices are told; while a rollout is held up, nobody else takes the candidate and nobody loses it."""
        is_open = self.state in ("running", "waiting")
        return Assignment(
            cohort=self.cohort,
            model=self.model,
            stable=self.stable,
            candidate=self.candidate if is_open else None,
            share=self.share if is_open else 0.0,
            revoked=tuple(self.revoked),
        )


def with_rules(rollout: Rollout, rules: Rules) -> Rollout:
    """The same rollout under other rules."""
    return replace(rollout, rules=rules)


def begin(rollout: Rollout, version: int, rings: Sequence[float] = ()) -> Rollout:
    """Begins the rollout of a version at the first ring; a first release goes to all, there is nothing to go back to.

    Raises:
        ConfigurationError: another rollout is under way, or the rings don't grow to 1.
    """
    if rollout.state == "running" and rollout.share == 1:
        # All devices were offered it; whoever publishes on doesn't wait for the last report.
        rollout = _promoted(rollout)
    if rollout.state in ("running", "waiting", "paused"):
        raise ConfigurationError(
            f"release {rollout.candidate} is still being rolled out to cohort {rollout.cohort!r} ({rollout.state}, "
            f"{rollout.share:.0%}). Finish it with `potstill fleet rollout ... --to 100`, or take it back with "
            "`potstill fleet revoke`."
        )
    chosen = tuple(rings) or RINGS
    if not all(0 < a < b for a, b in pairwise(chosen)) or chosen[-1] != 1 or chosen[0] <= 0:
        raise ConfigurationError(f"rings {list(chosen)}: shares grow, from above 0 to 1")
    if rollout.stable is None:
        return _promoted(replace(rollout, candidate=version, rings=(1.0,), ring=0))
    changed = replace(rollout, candidate=version, rings=chosen, ring=0, state="running")
    return _said(changed, f"rollout of release {version} begins with {changed.share:.0%}")


def step(rollout: Rollout, counts: Counts) -> Rollout:
    """What the reports so far ask for: the next ring, the end, a stop, or nothing."""
    if rollout.state != "running" or rollout.candidate is None:
        return rollout
    rules = rollout.rules
    if counts.num_failed and counts.num_failed >= rules.error_share * counts.num_devices:
        why = f"{counts.num_failed} of {counts.num_devices} devices refused or reverted release {rollout.candidate}"
        return _said(replace(rollout, state="stopped"), f"stopped: {why}")
    if counts.num_devices < rules.min_devices or counts.num_committed < rules.success_share * counts.num_devices:
        return rollout
    if rollout.ring + 1 < len(rollout.rings) and rules.approval:
        return _said(replace(rollout, state="waiting"), f"ring of {rollout.share:.0%} did well; waits for approval")
    return open_next(rollout)


def open_next(rollout: Rollout) -> Rollout:
    """Opens the next ring; after the last one the candidate is stable.

    Raises:
        ConfigurationError: nothing is being rolled out.
    """
    if rollout.candidate is None:
        raise ConfigurationError(f"nothing is being rolled out to cohort {rollout.cohort!r}")
    if rollout.ring + 1 == len(rollout.rings):
        return _promoted(rollout)
    changed = replace(rollout, ring=rollout.ring + 1, state="running")
    return _said(changed, f"release {rollout.candidate} goes to {changed.share:.0%}")


def open_to(rollout: Rollout, share: float) -> Rollout:
    """Opens rings up to a share, whatever was reported; with all devices the candidate is stable.

    Raises:
        ConfigurationError: nothing is being rolled out, or no ring has that share.
    """
    if rollout.candidate is None:
        raise ConfigurationError(f"nothing is being rolled out to cohort {rollout.cohort!r}")
    if share == 1:
        return _promoted(rollout)
    if share not in rollout.rings:
        raise ConfigurationError(
            f"no ring of {share:.0%}; the rings are {', '.join(f'{r:.0%}' for r in rollout.rings)}"
        )
    changed = replace(rollout, ring=list(rollout.rings).index(share), state="running")
    return _said(changed, f"release {rollout.candidate} goes to {share:.0%}, by hand")


def pause(rollout: Rollout) -> Rollout:
    """No further device takes the candidate; those that have it keep it.

    Raises:
        ConfigurationError: nothing is being rolled out.
    """
    if rollout.state not in ("running", "waiting"):
        raise ConfigurationError(f"nothing is being rolled out to cohort {rollout.cohort!r} ({rollout.state})")
    return _said(replace(rollout, state="paused"), f"rollout of release {rollout.candidate} paused")


def resume(rollout: Rollout) -> Rollout:
    """Goes on with a paused or stopped rollout.

    Raises:
        ConfigurationError: there is none.
    """
    if rollout.state not in ("paused", "stopped", "waiting"):
        raise ConfigurationError(f"no rollout to cohort {rollout.cohort!r} is held up ({rollout.state})")
    return _said(replace(rollout, state="running"), f"rollout of release {rollout.candidate} goes on")


def revoke(rollout: Rollout, version: int) -> Rollout:
    """Takes a version back: nobody gets it, and devices that kept the release before return to that.

    Raises:
        ConfigurationError: it was never rolled out here, or there is nothing to go back to.
    """
    if version in rollout.revoked:
        return rollout
    if version not in (*rollout.history, rollout.stable, rollout.candidate):
        raise ConfigurationError(f"release {version} was never rolled out to cohort {rollout.cohort!r}")
    revoked = (*rollout.revoked, version)
    if version == rollout.candidate:
        changed = replace(rollout, candidate=None, ring=0, state="idle", revoked=revoked)
        return _said(changed, f"release {version} revoked")
    stable = rollout.stable
    if version == stable:
        kept = [old for old in rollout.history if old not in revoked]
        if not kept:
            raise ConfigurationError(
                f"release {version} is the only one of cohort {rollout.cohort!r}. Publish another one first."
            )
        stable = kept[-1]
    return _said(replace(rollout, stable=stable, revoked=revoked), f"release {version} revoked; stable is {stable}")


def read_rollout(fleet: Fleet, cohort: str, model: str) -> Rollout:
    """The state of a cohort's rollouts of a model.

    Raises:
        IntegrityError: it is damaged.
    """
    path = fleet.rollouts / cohort / f"{model}.json"
    if not path.exists():
        return Rollout(cohort=cohort, model=model)
    try:
        values = json.loads(path.read_bytes())
        values.pop("share")
        return Rollout(**{**values, "rules": Rules(**values["rules"])})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{path} is not what was written: {error!r}") from error


def save_rollout(fleet: Fleet, rollout: Rollout) -> None:
    """Keeps the state."""
    write_atomic(fleet.rollouts / rollout.cohort / f"{rollout.model}.json", canonical_json(rollout.to_json()))


def signed_assignment(fleet: Fleet, rollout: Rollout) -> tuple[str, Metadata[Targets]]:
    """The cohort's role with the assignment in it, to be signed; the bytes are written."""
    from tuf.api.metadata import TargetFile

    content = rollout.assignment().to_bytes()
    path = assignment_target(rollout.cohort, rollout.model)
    role = cohort_role(rollout.cohort)
    metadata = read_targets(fleet, role)
    target = TargetFile.from_data(path, content, ["sha256"])
    metadata.signed.targets[path] = target
    write_target(fleet, path, content, target.hashes["sha256"])
    return role, metadata


def _promoted(rollout: Rollout) -> Rollout:
    version = rollout.candidate
    assert version is not None, "checked by the callers"
    history = (*rollout.history, version)
    changed = replace(rollout, stable=version, candidate=None, ring=0, state="idle", history=history)
    return _said(changed, f"release {version} is stable")


def _said(rollout: Rollout, what: str) -> Rollout:
    entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "what": what}
    return replace(rollout, log=[*rollout.log, entry][-MAX_LOG:])
