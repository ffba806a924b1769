"""Private keys as files: PKCS#8, ed25519, encrypted where a passphrase is given."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from potstill.errors import ConfigurationError, MissingExtraError
from potstill.files import write_atomic

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Role

PASSPHRASE = "POTSTILL_FLEET_PASSPHRASE"


def make_keys(folder: Path, role: str, count: int, passphrase: str = "", *, first: int = 1) -> list[CryptoSigner]:
    """Makes keys of a role, as `ROLE-1.pem` and so on, readable by their owner only.

    Raises:
        ConfigurationError: a file of that name is there; a key is never overwritten.
    """
    made = []
    for number in range(first, first + count):
        path = folder / f"{role}-{number}.pem"
        if path.exists():
            raise ConfigurationError(f"{path} is there already. A key is never overwritten; move it away first.")
        signer = _crypto().generate_ed25519()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(path, _pem(signer, passphrase), mode=0o600)
        made.append(signer)
    return made


def find_signers(role_name: str, role: Role, folders: Sequence[Path], passphrase: str = "") -> list[CryptoSigner]:
    """The keys of a role that lie in the folders, as many as its threshold asks for.

    Raises:
        ConfigurationError: too few are there, or the passphrase doesn't open them.
    """
    found: dict[str, CryptoSigner] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.pem")):
            if re.fullmatch(re.escape(role_name) + r"-\d+", path.stem):
                signer = _load(path, passphrase)
                if signer.public_key.keyid in role.keyids:
                    found[signer.public_key.keyid] = signer
    if len(found) < role.threshold:
        raise ConfigurationError(
            f"{role.threshold} keys of the role {role_name!r} must sign, and {len(found)} of its {len(role.keyids)} "
            f"lie in {', '.join(map(str, folders))}. Give the folders of the others with --keys."
        )
    return list(found.values())[: role.threshold]


def last_number(role: str, folders: Sequence[Path]) -> int:
    """Highest number of a key file of a role."""
    names = [path.stem.removeprefix(f"{role}-") for folder in folders for path in folder.glob(f"{role}-*.pem")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def passphrase_from(file: Path | None) -> str:
    """First line of a file, or what stands in the environment; empty for none.

    Raises:
        ConfigurationError: the file is empty or can't be read.
    """
    if file is None:
        return os.environ.get(PASSPHRASE, "")
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the passphrase can't be read from {file}: {error}") from error
    if not lines or not lines[0]:
        raise ConfigurationError(f"{file} holds no passphrase on its first line")
    return lines[0]


def _load(path: Path, passphrase: str) -> CryptoSigner:
    signer = _crypto()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = path.read_bytes()
    is_encrypted = b"ENCRYPTED" in content
    if is_encrypted and not passphrase:
        raise ConfigurationError(f"{path} is encrypted. Give --passphrase-file, or set {PASSPHRASE}.")
    try:
        key = load_pem_private_key(content, passphrase.encode() if is_encrypted else None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} is no private key that this passphrase opens: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} holds another kind of key; ed25519 keys are used here")
    return signer(key)


def _pem(signer: CryptoSigner, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    plain: bytes = signer.private_bytes
    if not passphrase:
        return plain
    key = load_pem_private_key(plain, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))


def _crypto() -> type[CryptoSigner]:
    try:
        import cryptography
        import tuf  # noqa: F401
        from securesystemslib.signer import CryptoSigner
    except ImportError as error:
        raise MissingExtraError(str(error.name).partition(".")[0], "fleet") from error
    assert cryptography
    return CryptoSigner
