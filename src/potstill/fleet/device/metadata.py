"""Verified metadata, by the client of The Update Framework; its failures as ours, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from potstill.errors import (
    ConfigurationError,
    MissingExtraError,
    PotstillError,
    ServerUnavailableError,
    UpdateFailedError,
    UpdateRefusedError,
)
from potstill.files import sync_folder
from potstill.fleet.device.place import Device

if TYPE_CHECKING:
    from tuf.ngclient import Updater


def check_root(root: bytes) -> None:
    """Refuses bytes that are no root metadata that signs itself.

    Raises:
        ConfigurationError: they aren't.
        MissingExtraError: the packages that check are not installed.
    """
    need_tuf()
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root
    from tuf.api.serialization import DeserializationError

    try:
        metadata = Metadata[Root].from_bytes(root)
        if not isinstance(metadata.signed, Root):
            raise ValueError(f"it is metadata of the role {metadata.signed.type!r}")
        metadata.signed.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
    except (DeserializationError, RepositoryError, ValueError) as error:
        raise ConfigurationError(
            f"this is no root metadata: {error}. Take FLEET/repository/metadata/1.root.json, by a way you trust."
        ) from error


def refresh(device: Device) -> Updater:
    """Fetches and verifies the newest metadata.

    Raises:
        ServerUnavailableError: the server can't be reached.
        UpdateRefusedError: what it serves is not signed as it must be, too old, or mixed.
    """
    need_tuf()
    from tuf.ngclient import Updater

    from potstill.fleet.device.fetch import fetcher_for

    fetcher, base = fetcher_for(device.source)
    device.metadata.mkdir(exist_ok=True)
    with explained(device.source):
        updater = Updater(
            str(device.metadata),
            f"{base}/metadata/",
            str(device.downloads),
            f"{base}/targets/",
            fetcher=fetcher,
            bootstrap=device.root,
        )
        updater.refresh()
    return updater


def sync_metadata(device: Device) -> None:
    """Makes what was verified survive a power cut; without it an older repository could be served after one."""
    import os

    for path in (p for p in device.metadata.rglob("*.json") if not p.is_symlink()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(device.metadata)


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turns the client's failures into ours; some of its own have no message.

    Raises:
        ServerUnavailableError: the server can't be reached.
        UpdateRefusedError: what it serves must not be used.
    """
    from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError, RepositoryError

    kept = "What runs on this device goes on."
    try:
        yield
    except DownloadLengthMismatchError as error:
        raise UpdateRefusedError(f"{source} sends more than was signed: {error}. {kept}") from error
    except RepositoryError as error:
        raise UpdateRefusedError(
            f"{source} serves something that must not be used: {type(error).__name__}: {error}. {kept}"
        ) from error
    except DownloadHTTPError as error:
        raise ServerUnavailableError(
            f"{source} answers with status {error.status_code}; is it the address of a repository? {kept}"
        ) from error
    except DownloadError as error:
        raise ServerUnavailableError(f"{source} can't be reached or is too slow: {_cause(error)}. {kept}") from error
    except PotstillError:
        raise
    except OSError as error:
        raise _disk_error(error) from error
    except Exception as error:
        # The chunks of a download are read outside of the client's own guard.
        if type(error).__module__.startswith("urllib3"):
            raise ServerUnavailableError(f"{source} broke off: {error}. {kept}") from error
        raise


def need_tuf() -> None:
    """Refuses to go on without the packages of the extra.

    Raises:
        MissingExtraError: they are not installed.
    """
    try:
        import cryptography
        import tuf
    except ImportError as error:
        raise MissingExtraError(str(error.name).partition(".")[0], "device") from error
    assert cryptography and tuf


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turns failures of the disk into ours.

    Raises:
        UpdateFailedError: the disk is full or broken.
    """
    try:
        yield
    except OSError as error:
        raise _disk_error(error) from error


def _disk_error(error: OSError) -> UpdateFailedError:
    where = f" ({error.filename})" if error.filename else ""
    return UpdateFailedError(f"the disk of this device refuses: {error.strerror or error}{where}. What runs goes on.")


def _cause(error: BaseException) -> str:
    """The innermost message of a chain of errors."""
    found = str(error)
    cause: BaseException | None = error
    while cause is not None:
        found = str(getattr(cause, "reason", "")) or str(cause) or found
        cause = cause.__cause__ or cause.__context__
    return found or type(error).__name__
