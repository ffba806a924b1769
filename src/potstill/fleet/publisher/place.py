"""A fleet on the publisher's disk: what lies where, and how one is made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from potstill.errors import ConfigurationError, IntegrityError
from potstill.files import canonical_json, write_atomic
from potstill.fleet.formats.names import check_word

FORMAT = "potstill-fleet"
FORMAT_VERSION = 1
NAME = "fleet.json"
# Days until metadata must be signed again. Short where the key is online, so that a frozen server is noticed.
EXPIRY_DAYS = {"root": 365, "targets": 365, "cohort": 30, "snapshot": 30, "timestamp": 7}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """A fleet.

    Attributes:
        folder: of all of it.
        cohorts: groups of devices that get their own assignments.
        expiry_days: role -> days until its metadata expires.
        keys: further folders of keys, as a USB stick's.
        passphrase: of encrypted keys.
    """

    folder: Path
    cohorts: Sequence[str]
    expiry_days: Mapping[str, float] = field(default_factory=lambda: dict(EXPIRY_DAYS))
    keys: Sequence[Path] = ()
    passphrase: str = field(default="", repr=False)

    @property
    def repository(self) -> Path:
        """What is served."""
        return self.folder / "repository"

    @property
    def metadata(self) -> Path:
        """Signed metadata."""
        return self.repository / "metadata"

    @property
    def targets(self) -> Path:
        """Bytes of releases, deltas and assignments."""
        return self.repository / "targets"

    @property
    def key_folders(self) -> list[Path]:
        """Where keys are looked for."""
        own = [self.online_keys, self.folder / "keys" / "offline"]
        return [folder for folder in [*own, *self.keys] if folder.is_dir()]

    @property
    def online_keys(self) -> Path:
        """Keys that a server needs to roll out."""
        return self.folder / "keys" / "online"

    @property
    def rollouts(self) -> Path:
        """State of the rollouts."""
        return self.folder / "rollouts"

    @property
    def inbox(self) -> Path:
        """What devices report."""
        return self.folder / "inbox"

    def to_json(self) -> dict[str, Any]:
        """Content of fleet.json."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "cohorts": list(self.cohorts),
            "expiry_days": dict(self.expiry_days),
        }


def create_fleet(
    folder: Path,
    *,
    cohorts: Sequence[str] = ("default",),
    offline_keys: Path | None = None,
    num_keys: int = 3,
    threshold: int = 2,
    passphrase: str = "",
) -> Fleet:
    """Makes the keys and the first signed metadata.

    Args:
        folder: new or empty.
        cohorts: groups of devices.
        offline_keys: folder for the keys of `root` and `targets`, which belong offline.
        num_keys: of each of the two.
        threshold: how many of them must sign.
        passphrase: encrypts the offline keys.

    Raises:
        ConfigurationError: there is something in the folder, or an option doesn't hold.
        MissingExtraError: the packages for signing are not installed.
    """
    from potstill.fleet.publisher.repository import create_metadata

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is not an empty folder. Give a new one: keys are never overwritten.")
    if not 1 <= threshold <= num_keys:
        raise ConfigurationError(f"the threshold is {threshold} of {num_keys} keys; it lies between 1 and their number")
    if not cohorts or len(set(cohorts)) != len(cohorts):
        raise ConfigurationError(f"cohorts {list(cohorts)}: at least one, and none twice")
    for cohort in cohorts:
        check_word("cohort", cohort)
    offline = offline_keys or folder / "keys" / "offline"
    if (folder / "repository").resolve() in [offline.resolve(), *offline.resolve().parents]:
        raise ConfigurationError(f"{offline} lies in the folder that is served. Keys must never be served.")
    fleet = Fleet(folder=folder, cohorts=tuple(cohorts), keys=[offline], passphrase=passphrase)
    folder.mkdir(parents=True, exist_ok=True)
    create_metadata(fleet, offline, num_keys=num_keys, threshold=threshold)
    save_fleet(fleet)
    return fleet


def save_fleet(fleet: Fleet) -> None:
    """Writes fleet.json."""
    write_atomic(fleet.folder / NAME, canonical_json(fleet.to_json()))


def open_fleet(folder: Path, *, keys: Sequence[Path] = (), passphrase: str = "") -> Fleet:
    """Opens a fleet.

    Raises:
        ConfigurationError: there is none.
        IntegrityError: fleet.json is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise ConfigurationError(f"{folder} holds no fleet. Make one with: potstill fleet init {folder}")
    for found in keys:
        if not found.is_dir():
            raise ConfigurationError(f"{found} is no folder. Give the folder of the keys with --keys.")
    try:
        values = json.loads(path.read_bytes())
        if (values["format"], values["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"it says {values['format']!r}, version {values['format_version']!r}")
        return Fleet(
            folder=folder,
            cohorts=[check_word("cohort", str(name)) for name in values["cohorts"]],
            expiry_days={**EXPIRY_DAYS, **{str(k): float(v) for k, v in values["expiry_days"].items()}},
            keys=list(keys),
            passphrase=passphrase,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{path} is not what was written: {error}") from error
