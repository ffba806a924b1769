"""Signed metadata on disk.

Targets are written first and the timestamp last, so that a reader at any instant sees the old repository or the new one
(specification of The Update Framework, section 6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import ConfigurationError, IntegrityError
from potstill.files import locked, write_atomic
from potstill.fleet.formats.names import cohort_role
from potstill.fleet.publisher.keys import find_signers, last_number, make_keys
from potstill.fleet.publisher.place import Fleet

if TYPE_CHECKING:
    from tuf.api.metadata import Metadata, Role, Root, Targets

TOP = ("root", "targets", "snapshot", "timestamp")


def create_metadata(fleet: Fleet, offline: Path, *, num_keys: int, threshold: int) -> None:
    """Keys and first metadata of a new fleet."""
    from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

    root, targets = Root(consistent_snapshot=True), Targets(delegations=Delegations({}, {}))
    for role in ("root", "targets"):
        for signer in make_keys(offline, role, num_keys, fleet.passphrase):
            root.add_key(signer.public_key, role)
        root.roles[role].threshold = threshold
    for role in ("snapshot", "timestamp"):
        root.add_key(make_keys(fleet.online_keys, role, 1)[0].public_key, role)
    signed: dict[str, Any] = {"root": root, "targets": targets}
    assert targets.delegations is not None and targets.delegations.roles is not None
    for cohort in fleet.cohorts:
        name = cohort_role(cohort)
        targets.delegations.roles[name] = DelegatedRole(name, [], 1, True, paths=[f"cohorts/{cohort}/*"])
        targets.add_key(make_keys(fleet.online_keys, name, 1)[0].public_key, name)
        signed[name] = Targets()
    signed["snapshot"] = Snapshot(meta={f"{name}.json": MetaFile(1) for name in signed if name != "root"})
    signed["timestamp"] = Timestamp(snapshot_meta=MetaFile(1))
    for name, payload in signed.items():
        payload.expires = _expiry(fleet, name)
        _sign(fleet, name, Metadata(payload), _role(name, root, targets))


def read_root(fleet: Fleet) -> Metadata[Root]:
    """The newest root.

    Raises:
        IntegrityError: there is none.
    """
    versions = [int(path.name.partition(".")[0]) for path in fleet.metadata.glob("*.root.json")]
    return _read(fleet.metadata / f"{max(versions, default=0)}.root.json")


def read_targets(fleet: Fleet, role: str = "targets") -> Metadata[Targets]:
    """The newest metadata of `targets` or of a cohort.

    Raises:
        IntegrityError: it is missing or damaged.
        ConfigurationError: no such cohort.
    """
    found = _snapshot(fleet).signed.meta.get(f"{role}.json")
    if found is None:
        raise ConfigurationError(f"this fleet has no role {role!r}; its cohorts are {', '.join(fleet.cohorts)}")
    return _read(fleet.metadata / f"{found.version}.{role}.json")


def commit(fleet: Fleet, changed: Mapping[str, Metadata[Targets]], *, now: datetime | None = None) -> None:
    """Signs changed roles, then the snapshot, then the timestamp, each as its next version.

    Raises:
        ConfigurationError: keys are missing.
    """
    from tuf.api.metadata import MetaFile

    root, snapshot = read_root(fleet).signed, _snapshot(fleet)
    top = changed.get("targets") or read_targets(fleet)
    # The keys are looked for before anything is written.
    for name in [*changed, "snapshot", "timestamp"]:
        find_signers(name, _role(name, root, top.signed), fleet.key_folders, fleet.passphrase)
    for name, metadata in changed.items():
        metadata.signed.version += 1
        metadata.signed.expires = _expiry(fleet, name, now)
        _sign(fleet, name, metadata, _role(name, root, top.signed))
        snapshot.signed.meta[f"{name}.json"] = MetaFile(metadata.signed.version)
    snapshot.signed.version += 1
    snapshot.signed.expires = _expiry(fleet, "snapshot", now)
    _sign(fleet, "snapshot", snapshot, _role("snapshot", root, top.signed))
    sign_timestamp(fleet, snapshot.signed.version, now=now)


def sign_timestamp(fleet: Fleet, snapshot_version: int | None = None, *, now: datetime | None = None) -> None:
    """Signs which snapshot is the newest; the same one when left out."""
    timestamp = _read(fleet.metadata / "timestamp.json")
    timestamp.signed.version += 1
    if snapshot_version is not None:
        timestamp.signed.snapshot_meta.version = snapshot_version
    timestamp.signed.expires = _expiry(fleet, "timestamp", now)
    _sign(fleet, "timestamp", timestamp, read_root(fleet).signed.roles["timestamp"])


def change_root(fleet: Fleet, change: Callable[[Root], None], *, now: datetime | None = None) -> int:
    """Signs a changed root with the keys of the old and of the new one; returns its version.

    Raises:
        ConfigurationError: keys are missing.
    """
    # Read twice: the old one must not change with the new one.
    metadata, old = read_root(fleet), read_root(fleet).signed
    change(metadata.signed)
    metadata.signed.version += 1
    metadata.signed.expires = _expiry(fleet, "root", now)
    metadata.signatures.clear()
    signers = [s for r in (old, metadata.signed) for s in find_signers("root", r.roles["root"], *_where(fleet))]
    for signer in {signer.public_key.keyid: signer for signer in signers}.values():
        metadata.sign(signer, append=True)
    _write(fleet, "root", metadata)
    return int(metadata.signed.version)


def rotate(fleet: Fleet, role: str, *, folder: Path | None = None, now: datetime | None = None) -> list[Path]:
    """Replaces all keys of a role by new ones, as after a theft; devices follow by themselves.

    Args:
        fleet: whose root keys are at hand.
        role: `root`, `targets`, `snapshot`, `timestamp` or a cohort's.
        folder: for the new keys; that of the role's kind when left out.
        now: for tests.

    Returns:
        The new key files. The old ones are left alone.

    Raises:
        ConfigurationError: an unknown role, or keys are missing.
    """
    cohorts = [cohort_role(cohort) for cohort in fleet.cohorts]
    if role not in (*TOP, *cohorts):
        raise ConfigurationError(f"no keys of {role!r}; the roles are {', '.join([*TOP, *cohorts])}")
    is_online = role not in ("root", "targets")
    where = fleet.online_keys if is_online else folder or fleet.folder / "keys" / "offline"
    root, targets = read_root(fleet), read_targets(fleet)
    before = list(_role(role, root.signed, targets.signed).keyids)
    first = last_number(role, [*fleet.key_folders, where]) + 1
    made = make_keys(where, role, len(before), "" if is_online else fleet.passphrase, first=first)

    def change(delegator: Root | Targets) -> None:
        for keyid in before:
            delegator.revoke_key(keyid, role)
        for signer in made:
            delegator.add_key(signer.public_key, role)

    if role in cohorts:
        # Its old keys are refused from now on, so what they signed is signed again in the same breath.
        change(targets.signed)
        commit(fleet, {"targets": targets, role: read_targets(fleet, role)}, now=now)
    else:
        change_root(fleet, change, now=now)
        commit(fleet, {"targets": targets} if role == "targets" else {}, now=now)
    return [where / f"{role}-{number}.pem" for number in range(first, first + len(made))]


def read_expiry(fleet: Fleet) -> dict[str, datetime]:
    """Role -> when its metadata expires."""
    timestamp, snapshot = _read(fleet.metadata / "timestamp.json"), _snapshot(fleet)
    found = {"root": read_root(fleet).signed.expires}
    for name in sorted(snapshot.signed.meta):
        role = name.removesuffix(".json")
        found[role] = read_targets(fleet, role).signed.expires
    return {**found, "snapshot": snapshot.signed.expires, "timestamp": timestamp.signed.expires}


@contextmanager
def alone(fleet: Fleet) -> Iterator[None]:
    """One process at a time signs for a fleet."""
    with locked(fleet.folder / ".lock"):
        yield


def write_target(fleet: Fleet, name: str, content: bytes, sha256: str) -> None:
    """The bytes of a target under its consistent name."""
    folder, _, file = name.rpartition("/")
    write_atomic(fleet.targets / folder / f"{sha256}.{file}", content)


def read_target(fleet: Fleet, name: str, sha256: str) -> bytes:
    """The bytes of a target.

    Raises:
        IntegrityError: missing or damaged.
    """
    import hashlib

    folder, _, file = name.rpartition("/")
    path = fleet.targets / folder / f"{sha256}.{file}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{path} is signed and can't be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise IntegrityError(f"{path} is not what was signed. Put it back from a backup.")
    return content


def _where(fleet: Fleet) -> tuple[list[Path], str]:
    return fleet.key_folders, fleet.passphrase


def _role(name: str, root: Root, targets: Targets) -> Role:
    return root.roles[name] if name in TOP else targets.get_delegated_role(name)


def _expiry(fleet: Fleet, name: str, now: datetime | None = None) -> datetime:
    days = fleet.expiry_days[name if name in TOP else "cohort"]
    return (now or datetime.now(UTC)).replace(microsecond=0) + timedelta(days=days)


def _sign(fleet: Fleet, name: str, metadata: Metadata[Any], role: Role) -> None:
    metadata.signatures.clear()
    for signer in find_signers(name, role, *_where(fleet)):
        metadata.sign(signer, append=True)
    _write(fleet, name, metadata)


def _write(fleet: Fleet, name: str, metadata: Metadata[Any]) -> None:
    file = f"{name}.json" if name == "timestamp" else f"{metadata.signed.version}.{name}.json"
    write_atomic(fleet.metadata / file, metadata.to_bytes())


def _snapshot(fleet: Fleet) -> Metadata[Any]:
    timestamp = _read(fleet.metadata / "timestamp.json")
    return _read(fleet.metadata / f"{timestamp.signed.snapshot_meta.version}.snapshot.json")


def _read(path: Path) -> Metadata[Any]:
    from tuf.api.metadata import Metadata
    from tuf.api.serialization import DeserializationError

    try:
        return Metadata.from_bytes(path.read_bytes())
    except (OSError, DeserializationError) as error:
        raise IntegrityError(f"{path} can't be read: {error}. Put the repository back from a backup.") from error
