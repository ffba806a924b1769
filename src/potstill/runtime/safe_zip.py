"""Reads the files of a bundle, folder or zip, into memory, and trusts nothing about either."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

from potstill.errors import BundleError

MAX_FILES = 64
MAX_FILE_BYTES = 2 * 1024**3
MAX_TOTAL_BYTES = 4 * 1024**3
# A model hardly shrinks in a zip; what shrinks this much is a bomb.
MAX_RATIO = 200
_SMALL = 1024 * 1024


def read_files(path: Path) -> dict[str, bytes]:
    """Name -> bytes of every file of a bundle.

    Raises:
        BundleError: it is no bundle, or one that tries to leave its folder, to fill memory or to hide something.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise BundleError(f"{path} does not exist. Give the folder or the .zip that a run wrote as its bundle.")
    # A pipe or a device would be waited for, or never end.
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise BundleError(f"{path} is neither a folder nor a zip file, so it is no bundle.")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_zip(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BundleError(f"{path} is a damaged zip file: {error}. Copy or download the bundle again.") from error
    except Exception as error:
        # zlib and lzma raise their own kinds for damaged streams.
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path} is a damaged zip file: {error}. Copy or download the bundle again.") from error


def check_name(name: str) -> None:
    """Refuses every name that is not a plain file name in the bundle's own folder."""
    plain = name and len(name) <= 128 and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    if not plain or name.startswith("."):
        raise BundleError(
            f"the bundle holds a file named {name!r}. Names are letters, digits, dot, dash and underscore, with "
            "no folder in them, so that nothing can be read or written elsewhere. Don't use a bundle from this source."
        )


def _check_sizes(sizes: dict[str, int]) -> None:
    if len(sizes) > MAX_FILES:
        raise BundleError(f"the bundle holds {len(sizes)} files; at most {MAX_FILES} are expected")
    for name, size in sizes.items():
        if size > MAX_FILE_BYTES:
            raise BundleError(f"{name} is {size} bytes; at most {MAX_FILE_BYTES} are read")
    if sum(sizes.values()) > MAX_TOTAL_BYTES:
        raise BundleError(f"the bundle is {sum(sizes.values())} bytes; at most {MAX_TOTAL_BYTES} are read")
    if len({name.lower() for name in sizes}) != len(sizes):
        raise BundleError("two files of the bundle differ only in case; on some devices one would hide the other")


def _read_folder(folder: Path) -> dict[str, bytes]:
    sizes = {}
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        check_name(entry.name)
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(
                f"{entry.path} is a link, a folder or a device. A bundle holds plain files only, so that it can't "
                "point outside itself."
            )
        sizes[entry.name] = status.st_size
    _check_sizes(sizes)
    return {name: _read_plain(folder / name) for name in sorted(sizes)}


def _read_plain(path: Path) -> bytes:
    # O_NOFOLLOW: a link put there after the check above is refused too.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _read_zip(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    sizes: dict[str, int] = {}
    for entry in entries:
        check_name(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BundleError(f"{entry.filename} in the zip is not a plain file. Don't use a bundle from this source.")
        if entry.filename in sizes:
            raise BundleError(f"{entry.filename} stands twice in the zip, so what is checked may not be what is read")
        if entry.flag_bits & 1:
            raise BundleError(f"{entry.filename} is encrypted; a bundle is not")
        if entry.file_size > max(_SMALL, MAX_RATIO * entry.compress_size):
            raise BundleError(f"{entry.filename} unpacks to more than {MAX_RATIO} times its size; this is a zip bomb")
        sizes[entry.filename] = entry.file_size
    _check_sizes(sizes)
    files = {}
    for entry in entries:
        with archive.open(entry) as file:
            content = file.read(entry.file_size + 1)
        if len(content) != entry.file_size:
            raise BundleError(f"{entry.filename} is not as long as the zip says")
        files[entry.filename] = content
    return files
