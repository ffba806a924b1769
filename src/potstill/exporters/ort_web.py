"""Where onnxruntime-web comes from: a folder of the user's, or npm, once, with its hash checked."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from potstill.errors import ConfigurationError, IntegrityError
from potstill.files import write_atomic

VERSION = "1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
NPM_TIMEOUT_S = 300


def ort_web_files(given: Path | None = None, *, cache: Path | None = None) -> dict[str, bytes]:
    """The runtime's script and its WebAssembly, 14 MB.

    Args:
        given: `node_modules/onnxruntime-web`, or its `dist`; None looks into the working folder's node_modules, then
            into the cache, then asks npm for the pinned version and checks its hash.
        cache: where files from npm are kept; None takes the user's cache folder.

    Raises:
        ConfigurationError: not there, and npm can't be asked.
        IntegrityError: npm gave another package than the one this version was tested with.
    """
    if given is not None:
        found = _read(given)
        if found is None:
            raise ConfigurationError(
                f"{given} holds no {SCRIPT} and {WASM}. Give the folder that `npm install onnxruntime-web` made: "
                "node_modules/onnxruntime-web."
            )
        return found
    kept = (cache or _cache()) / f"onnxruntime-web-{VERSION}"
    for folder in (Path("node_modules") / "onnxruntime-web", kept):
        found = _read(folder)
        if found is not None:
            return found
    files = _unpacked(_from_npm())
    for name, content in files.items():
        write_atomic(kept / name, content)
    return files


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "potstill"


def _read(folder: Path) -> dict[str, bytes] | None:
    for place in (folder / "dist", folder):
        if (place / SCRIPT).is_file() and (place / WASM).is_file():
            return {name: (place / name).read_bytes() for name in (SCRIPT, WASM)}
    return None


def _from_npm() -> bytes:
    npm = shutil.which("npm")
    manual = (
        f"Run `npm install onnxruntime-web@{VERSION}` where npm is, and give the folder with --ort-web "
        "node_modules/onnxruntime-web."
    )
    if npm is None:
        raise ConfigurationError(
            f"the page needs onnxruntime-web, which comes by npm, and there is none here. {manual}"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent", "--pack-destination", folder]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, cwd=folder)
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip()[:300]
            raise ConfigurationError(f"npm could not bring onnxruntime-web ({said}). {manual}") from error
        return next(Path(folder).glob("*.tgz")).read_bytes()


def _unpacked(package: bytes) -> dict[str, bytes]:
    if base64.b64encode(hashlib.sha512(package).digest()).decode() != INTEGRITY:
        raise IntegrityError(
            f"npm gave another onnxruntime-web {VERSION} than the one that this version of Potstill was tested with. "
            "Check the registry that npm is set to."
        )
    files = {}
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        for name in (SCRIPT, WASM):
            member = archive.extractfile(f"package/dist/{name}")
            assert member is not None, "its hash says that the file is there"
            files[name] = member.read()
    return files
