"""Opens a bundle whose student writes, checked file by file."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from potstill.errors import BundleError
from potstill.files import digest, digest_file
from potstill.runtime.generating.manifest import GenerativeManifest, parse_generative
from potstill.runtime.manifest import GENERATIVE_FORMAT, MAX_MANIFEST_BYTES, NAME
from potstill.runtime.safe_zip import check_name, read_files


@dataclass(frozen=True)
class GenerativeBundle:
    """A bundle on disk; its files are those of the manifest.

    Attributes:
        folder: where they lie.
        manifest: what it promises.
        digest: of the manifest.
    """

    folder: Path
    manifest: GenerativeManifest
    digest: str

    @property
    def gguf(self) -> Path | None:
        """The model for llama.cpp, where the bundle has it."""
        path = self.folder / "model.gguf"
        return path if "model.gguf" in self.manifest.files else None


def is_generative(path: Path | str) -> bool:
    """Whether a bundle's student writes; False too for what is no bundle, which `load` explains better."""
    path = Path(path)
    try:
        if path.is_dir():
            content = (path / NAME).read_bytes() if (path / NAME).stat().st_size <= MAX_MANIFEST_BYTES else b""
        else:
            with zipfile.ZipFile(path) as archive, archive.open(NAME) as file:
                content = file.read(MAX_MANIFEST_BYTES)
        return bool(json.loads(content)["format"] == GENERATIVE_FORMAT)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile, RuntimeError):
        return False


def open_bundle(path: Path | str) -> GenerativeBundle:
    """A folder as it is, a zip file unpacked into a folder that goes with the process.

    Raises:
        BundleError: damaged, hostile, or of an unknown version.
    """
    path = Path(path)
    if not path.is_dir():
        # Its models are mapped from disk by the libraries that run them.
        files = read_files(path)
        path = Path(tempfile.mkdtemp(prefix="potstill-bundle-"))
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        for name, content in files.items():
            (path / name).write_bytes(content)
    if not (path / NAME).is_file():
        raise BundleError(f"{path} holds no {NAME}, so it is no bundle. A run writes its bundle into RUN/bundle.")
    content = (path / NAME).read_bytes()
    manifest = parse_generative(content)
    _check(path, manifest)
    return GenerativeBundle(path, manifest, digest(content))


def _check(folder: Path, manifest: GenerativeManifest) -> None:
    there = {entry.name for entry in folder.iterdir()} - {NAME}
    if there != set(manifest.files):
        raise BundleError(
            f"the bundle's files are not those of its manifest: missing {sorted(set(manifest.files) - there)}, unknown "
            f"{sorted(there - set(manifest.files))}. Copy or download the bundle again."
        )
    for name, entry in manifest.files.items():
        check_name(name)
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(f"{name} in the bundle is no plain file. Don't use a bundle from this source.")
        if path.stat().st_size != entry["size_bytes"] or digest_file(path) != entry["sha256"]:
            raise BundleError(f"{name} is not the file that was written: its hash differs. Copy the bundle again.")
