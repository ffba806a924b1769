"""Which release the devices of a cohort get, and which of them get the new one first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from potstill.errors import UpdateRefusedError
from potstill.files import canonical_json

FORMAT = "potstill-assignment"
FORMAT_VERSION = 1


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A cohort's releases of one model.

    Attributes:
        cohort: name of the cohort.
        model: name of the line of models.
        stable: version that every device gets; None before the first rollout has ended.
        candidate: version that is being rolled out; None when nothing is.
        share: of the devices that may take the candidate, 0 to 1.
        revoked: versions that no device may keep when it has another one to go back to.
    """

    cohort: str
    model: str
    stable: int | None = None
    candidate: int | None = None
    share: float = 0.0
    revoked: Sequence[int] = ()

    def to_bytes(self) -> bytes:
        """The target's content."""
        return canonical_json(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "cohort": self.cohort,
                "model": self.model,
                "stable": self.stable,
                "candidate": self.candidate,
                "share": self.share,
                "revoked": list(self.revoked),
            }
        )

    def version_for(self, device_id: str) -> int | None:
        """The version that a device should have; None for none."""
        if self.candidate is not None and position(device_id) < self.share:
            return self.candidate
        return self.stable


def position(device_id: str) -> float:
    """Where a device stands between 0 and 1: the same for every rollout, evenly spread over devices.

    A ring of 5 % is every device below 0.05, so rings grow and nobody leaves one.
    """
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:8], "big") / 2**64


def parse_assignment(content: bytes, *, cohort: str, model: str) -> Assignment:
    """Reads an assignment and compares it with what was asked for.

    Raises:
        UpdateRefusedError: not in its form, or that of another cohort or model.
    """
    try:
        values: Any = json.loads(content)
        if (values["format"], values["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"it says {values['format']!r}, version {values['format_version']!r}")
        found = Assignment(
            cohort=str(values["cohort"]),
            model=str(values["model"]),
            stable=_version(values["stable"]),
            candidate=_version(values["candidate"]),
            share=float(values["share"]),
            revoked=[int(version) for version in values["revoked"]],
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UpdateRefusedError(
            f"the assignment of cohort {cohort!r} is not in a form that this runtime knows: {error}. Upgrade with: pip "
            "install --upgrade potstill"
        ) from error
    if (found.cohort, found.model) != (cohort, model):
        raise UpdateRefusedError(
            f"the assignment is that of cohort {found.cohort!r} and model {found.model!r}; this device asked for "
            f"{cohort!r} and {model!r}"
        )
    return found


def _version(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is no version")
    return value
