"""Changes of rollouts, signed with the online keys; what expires is signed again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from potstill.errors import ConfigurationError
from potstill.fleet.publisher.inbox import counts_of
from potstill.fleet.publisher.place import Fleet
from potstill.fleet.publisher.repository import alone, change_root, commit, read_expiry, read_targets, sign_timestamp
from potstill.fleet.publisher.rollout import Rollout, read_rollout, save_rollout, signed_assignment, step


def lines_of(fleet: Fleet) -> list[tuple[str, str]]:
    """(cohort, model) of everything that was rolled out."""
    return [
        (cohort, path.stem) for cohort in fleet.cohorts for path in sorted((fleet.rollouts / cohort).glob("*.json"))
    ]


def change(fleet: Fleet, cohort: str, model: str, how: Callable[[Rollout], Rollout]) -> Rollout:
    """Changes a rollout, and signs what devices are told where that changes.

    Raises:
        ConfigurationError: there is none, or it can't change like that.
    """
    if (cohort, model) not in lines_of(fleet):
        known = ", ".join(f"{c}/{m}" for c, m in lines_of(fleet)) or "nothing"
        raise ConfigurationError(f"model {model!r} was never published to cohort {cohort!r}; published: {known}")
    with alone(fleet):
        before = read_rollout(fleet, cohort, model)
        after = how(before)
        if after.assignment() != before.assignment():
            role, metadata = signed_assignment(fleet, after)
            commit(fleet, {role: metadata})
        if after != before:
            save_rollout(fleet, after)
    return after


def advance(fleet: Fleet, cohort: str, model: str) -> Rollout:
    """One step of a rollout, as the reports allow.

    Raises:
        ConfigurationError: as `change`.
    """
    return change(fleet, cohort, model, lambda rollout: step(rollout, counts_of(fleet, rollout)))


def renew(fleet: Fleet, *, days: float = 3.0, now: datetime | None = None) -> tuple[list[str], dict[str, str]]:
    """Signs again what expires within some days, and the timestamp always.

    Returns:
        Roles that were signed, and role -> date of those whose keys are not here.
    """
    limit = (now or datetime.now(UTC)) + timedelta(days=days)
    with alone(fleet):
        expiry = read_expiry(fleet)
        due = [role for role, when in expiry.items() if when <= limit]
        signed, left = [], {}
        for role in due:
            try:
                _sign_again(fleet, role, now)
                signed.append(role)
            except ConfigurationError:
                left[role] = expiry[role].date().isoformat()
        sign_timestamp(fleet, now=now)
    return [*dict.fromkeys([*signed, "timestamp"])], left


def _sign_again(fleet: Fleet, role: str, now: datetime | None) -> None:
    if role == "root":
        change_root(fleet, lambda root: None, now=now)
    elif role == "snapshot":
        commit(fleet, {}, now=now)
    elif role != "timestamp":
        commit(fleet, {role: read_targets(fleet, role)}, now=now)
