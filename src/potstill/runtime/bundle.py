"""Writes a bundle: a folder with a manifest, and the same as one zip file."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from potstill.files import canonical_json, digest, sync_folder, write_atomic
from potstill.runtime.generating.manifest import GenerativeManifest
from potstill.runtime.manifest import NAME, Manifest
from potstill.runtime.safe_zip import check_name


def write_bundle(folder: Path, manifest: Manifest | GenerativeManifest, files: Mapping[str, bytes]) -> str:
    """Writes the files and a manifest that lists them; an old bundle there is replaced as a whole.

    Returns:
        Digest of the bundle: that of its manifest, which holds those of all files.
    """
    for name in files:
        check_name(name)
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in sorted(files.items())
    }
    head = canonical_json(replace(manifest, files=listed).to_json())
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, content in {**files, NAME: head}.items():
            write_atomic(beside / name, content)
        beside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return digest(head)


def pack(folder: Path, target: Path) -> None:
    """The bundle as one zip; the same bundle gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(path.name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())
    write_atomic(target, buffer.getvalue())


def size_of(folder: Path) -> int:
    """Bytes of all files of a bundle."""
    return sum(path.stat().st_size for path in folder.iterdir())
