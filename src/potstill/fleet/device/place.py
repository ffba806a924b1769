"""A device's folder: who it is, whom it trusts, and what lies where."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from potstill.errors import ConfigurationError, IntegrityError, MissingExtraError
from potstill.files import canonical_json, write_atomic
from potstill.fleet.formats.names import check_word
from potstill.fleet.formats.release import ANY_DEVICE
from potstill.fleet.formats.report import device_id

FORMAT = "potstill-device"
FORMAT_VERSION = 1
NAME = "device.json"
SLOTS = ("a", "b")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """A device that was enrolled.

    Attributes:
        folder: of all of it.
        id: hash of its public key.
        source: address or folder of the repository.
        cohort, model: what it asks for.
        device_class: kind of device, as the publisher names them.
        report_url: where reports go; empty keeps them here until they are collected.
        consent: its owner agreed that inputs are sent for teaching.
    """

    folder: Path
    id: str
    source: str
    cohort: str
    model: str
    device_class: str = ANY_DEVICE
    report_url: str = ""
    consent: bool = False

    @property
    def root(self) -> bytes:
        """The root metadata that it was enrolled with; everything it trusts begins here."""
        return (self.folder / "root.json").read_bytes()

    @property
    def metadata(self) -> Path:
        """Verified metadata."""
        return self.folder / "metadata"

    @property
    def downloads(self) -> Path:
        """What is being fetched; nothing there is trusted."""
        return self.folder / "downloads"

    def slot(self, name: str) -> Path:
        """Folder of a slot."""
        return self.folder / "slots" / name

    def to_json(self) -> dict[str, Any]:
        """Content of device.json."""
        names = ("id", "source", "cohort", "model", "device_class", "report_url", "consent")
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **{name: getattr(self, name) for name in names}}


def enroll(
    folder: Path,
    *,
    source: str,
    root: bytes,
    model: str,
    cohort: str = "default",
    device_class: str = ANY_DEVICE,
    report_url: str = "",
    consent: bool = False,
) -> Device:
    """Makes a device: its key, and the root that it trusts.

    Args:
        folder: new or empty.
        source: address of the repository (http or https), or a folder that holds a copy.
        root: root metadata that came by a way you trust, as with the program itself.
        model: name of the line of models.
        cohort: of the device.
        device_class: kind of device.
        report_url: where reports go.
        consent: its owner agreed that inputs are sent for teaching.

    Raises:
        ConfigurationError: there is something in the folder, or an option doesn't hold.
        MissingExtraError: the packages of the extra `device` are not installed.
    """
    from potstill.fleet.device.metadata import check_root

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is not an empty folder. A device is enrolled once; give a new folder.")
    for what, name in (("model", model), ("cohort", cohort), ("device class", device_class)):
        check_word(what, name)
    for address in filter(None, (source, report_url)):
        scheme = urlsplit(address).scheme
        if scheme not in ("http", "https") and (address is report_url or not Path(address).is_dir()):
            raise ConfigurationError(f"{address} is neither an address (http or https) nor a folder")
    check_root(root)
    key = _ed25519().generate()
    public = key.public_key().public_bytes_raw()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomic(folder / "key", key.private_bytes_raw(), mode=0o600)
    write_atomic(folder / "root.json", root)
    if urlsplit(source).scheme not in ("http", "https"):
        source = str(Path(source).absolute())
    device = Device(
        folder=folder,
        id=device_id(public),
        source=source.rstrip("/"),
        cohort=cohort,
        model=model,
        device_class=device_class,
        report_url=report_url,
        consent=consent,
    )
    # Written last: a folder with it is a whole device.
    write_atomic(folder / NAME, canonical_json(device.to_json()))
    return device


def open_device(folder: Path) -> Device:
    """Opens a device.

    Raises:
        ConfigurationError: there is none.
        IntegrityError: device.json is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise ConfigurationError(
            f"{folder} holds no device. Make one with: potstill device enroll {folder} --source URL --root ROOT.json "
            "--model MODEL"
        )
    try:
        values = json.loads(path.read_bytes())
        if (values.pop("format"), values.pop("format_version")) != (FORMAT, FORMAT_VERSION):
            raise ValueError("of another format")
        texts = ("id", "source", "cohort", "model", "device_class", "report_url")
        return Device(folder=folder, **{name: str(values[name]) for name in texts}, consent=values["consent"] is True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{path} is not what was written: {error!r}. Enrol the device again.") from error


def from_source(device: Device, source: str) -> Device:
    """The same device, fetching from elsewhere this time, as from a USB stick; the root it trusts stays the same."""
    return replace(device, source=source.rstrip("/"))


def signing_key(device: Device) -> tuple[bytes, Callable[[bytes], bytes]]:
    """The public key, and what signs.

    Raises:
        IntegrityError: the key is damaged, or that of another device.
    """
    try:
        key = _ed25519().from_private_bytes((device.folder / "key").read_bytes())
    except (OSError, ValueError) as error:
        raise IntegrityError(f"the key of this device can't be read: {error}. Enrol the device again.") from error
    public: bytes = key.public_key().public_bytes_raw()
    if device_id(public) != device.id:
        raise IntegrityError("the key in this folder is that of another device. Enrol the device again.")
    return public, key.sign


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError as error:
        raise MissingExtraError("cryptography", "device") from error
    return Ed25519PrivateKey
