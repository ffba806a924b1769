"""Names of targets in a fleet's repository."""

from __future__ import annotations

import re

from potstill.errors import ConfigurationError

_WORD = re.compile(r"[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?")


def check_word(what: str, name: str) -> str:
    """Refuses names of models and cohorts that would not be safe as a folder, a role and a part of an address.

    Raises:
        ConfigurationError: another form.
    """
    if not _WORD.fullmatch(name):
        raise ConfigurationError(
            f"{what} {name!r}: a name has 1 to 64 small letters, digits, dashes and underscores, and starts and ends "
            "with a letter or digit, because it becomes part of an address"
        )
    return name


def release_target(model: str, version: int, file: str) -> str:
    """A file of a release; signed by the offline targets keys."""
    return f"releases/{model}/{version}/{file}"


def delta_target(from_sha256: str, to_sha256: str) -> str:
    """What turns a file of one hash into a file of another."""
    return f"deltas/{from_sha256}-{to_sha256}"


def assignment_target(cohort: str, model: str) -> str:
    """Which release a cohort gets; signed by the cohort's online key."""
    return f"cohorts/{cohort}/{model}.json"


def cohort_role(cohort: str) -> str:
    """The delegated role of a cohort."""
    return f"cohort-{cohort}"
