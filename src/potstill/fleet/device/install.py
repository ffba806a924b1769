"""A release's files onto the device, beside what runs: from what is there, by deltas, or whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from potstill.errors import BundleError, PotstillError, UpdateFailedError, UpdateRefusedError
from potstill.files import sync_folder, write_atomic
from potstill.fleet.device.metadata import disk_errors, explained
from potstill.fleet.device.place import SLOTS, Device
from potstill.fleet.formats.delta import apply_delta
from potstill.fleet.formats.names import delta_target, release_target
from potstill.fleet.formats.release import ReleaseFacts
from potstill.runtime import load
from potstill.runtime.manifest import NAME, Manifest, parse_manifest
from potstill.runtime.safe_zip import check_name

if TYPE_CHECKING:
    from tuf.ngclient import Updater

# Metadata, state and the file system itself need some room beside the release.
SPARE_BYTES = 1_000_000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A release that lies ready, verified and tested, in no slot yet.

    Attributes:
        folder: of the bundle.
        downloaded_bytes: of targets.
        ways: file -> `here`, `delta` or `whole`.
    """

    folder: Path
    downloaded_bytes: int
    ways: Mapping[str, str]


def fetch_release(device: Device, updater: Updater, facts: ReleaseFacts) -> Fetched:
    """Brings all files of a release together and tests them.

    Raises:
        UpdateRefusedError: something is not what was signed.
        ServerUnavailableError: the server broke off.
        UpdateFailedError: the disk is full or broken.
        BundleError: the release is what was signed, and doesn't work on this device.
    """
    folder = device.downloads / facts.digest
    with disk_errors():
        _make_room(device, facts, folder)
        with explained(device.source):
            found = _gather(device, updater, facts, folder)
    model = load(folder)
    if model.digest != facts.digest:
        raise UpdateRefusedError("the manifest that was fetched is not the one that is signed")
    try:
        model.self_test()
    except PotstillError:
        raise
    except Exception as error:  # the library that runs the network has errors of no common base
        raise BundleError(f"the network can't run: {error}"[:1000]) from error
    return found


def put_in_slot(device: Device, fetched: Fetched, slot: str) -> None:
    """Moves a release that lies ready into a slot that holds nothing any more.

    Raises:
        UpdateFailedError: the disk refuses.
    """
    target = device.slot(slot)
    with disk_errors():
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        fetched.folder.rename(target)
        sync_folder(target.parent)


def clear_downloads(device: Device) -> None:
    """Removes what was fetched and not installed."""
    shutil.rmtree(device.downloads, ignore_errors=True)


def _make_room(device: Device, facts: ReleaseFacts, folder: Path) -> None:
    device.downloads.mkdir(exist_ok=True)
    for left in device.downloads.iterdir():
        if left != folder:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    folder.mkdir(exist_ok=True)
    # A fetch that was cut off goes on with what it has.
    needed = facts.size_bytes + SPARE_BYTES - sum(path.stat().st_size for path in folder.iterdir())
    free = shutil.disk_usage(device.folder).free
    if free < needed:
        raise UpdateFailedError(
            f"release {facts.version} needs {needed} bytes and {free} are free on this device. Make room; the next "
            "update tries again. What runs goes on."
        )


def _gather(device: Device, updater: Updater, facts: ReleaseFacts, folder: Path) -> Fetched:
    head, downloaded = _download(updater, release_target(facts.model, facts.version, NAME), folder / NAME)
    if hashlib.sha256(head).hexdigest() != facts.digest:
        raise UpdateRefusedError("the signed manifest is not the one that its custom field names")
    try:
        manifest = parse_manifest(head)
        for name in manifest.files:
            check_name(name)
    except BundleError as error:
        raise UpdateRefusedError(f"the manifest of release {facts.version}: {error}") from error
    ways = {}
    for left in folder.iterdir():
        # What an earlier try left and this release doesn't list.
        if left.name != NAME and left.name not in manifest.files:
            left.unlink()
    for name in manifest.files:
        ways[name], count = _bring(device, updater, facts, manifest, name, folder / name)
        downloaded += count
    sync_folder(folder)
    return Fetched(folder=folder, downloaded_bytes=downloaded, ways=ways)


def _bring(
    device: Device, updater: Updater, facts: ReleaseFacts, manifest: Manifest, name: str, target: Path
) -> tuple[str, int]:
    """One file, the cheapest way; returns the way and the bytes that were downloaded."""
    wanted = str(manifest.files[name]["sha256"])
    here = {sha256: path for path in [target, *_local(device, name)] if (sha256 := _hash_of(path))}
    if wanted in here:
        if here[wanted] != target:
            write_atomic(target, here[wanted].read_bytes())
        return "here", 0
    for sha256, path in here.items():
        delta = updater.get_targetinfo(delta_target(sha256, wanted))
        if delta is None:
            continue
        content, count = _download(updater, delta.path, target.with_name("delta"), delta)
        target.with_name("delta").unlink()
        try:
            made = _apply(delta.custom, path.read_bytes(), content, int(manifest.files[name]["size_bytes"]))
        except UpdateRefusedError:
            continue  # the whole file is another way, and signed by itself
        if hashlib.sha256(made).hexdigest() == wanted:
            write_atomic(target, made)
            return "delta", count
    _, count = _download(updater, release_target(facts.model, facts.version, name), target)
    return "whole", count


def _apply(custom: Any, old: bytes, content: bytes, size: int) -> bytes:
    method = str(custom.get("method")) if isinstance(custom, Mapping) else ""
    return apply_delta(method, old, content, size)


def _local(device: Device, name: str) -> list[Path]:
    return [device.slot(slot) / name for slot in SLOTS]


def _hash_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _download(updater: Updater, name: str, path: Path, info: Any = None) -> tuple[bytes, int]:
    """A target, verified by the client; returns its content and the bytes that came."""
    info = info or updater.get_targetinfo(name)
    if info is None:
        raise UpdateRefusedError(f"{name} is not signed. The repository lacks a file of the release.")
    if updater.find_cached_target(info, str(path)):
        return path.read_bytes(), 0
    updater.download_target(info, str(path))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return file.read(), info.length
