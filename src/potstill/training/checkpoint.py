"""Checkpoints that survive a kill at any instant.

A checkpoint is a folder `step-00000123` that holds tensors as safetensors, the rest as JSON, and a manifest with the
digest of each file. It is written beside, synced, and renamed into place, so a folder of that name is whole. On load
every digest is checked; one that fails is passed over for the one before it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor

from potstill.errors import CheckpointError
from potstill.files import canonical_json, digest, digest_file, sync_folder

MANIFEST = "manifest.json"
STATE = "state.json"
# Two, so that a damaged newest one costs a little time and not the whole training.
NUM_KEPT = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything that a training needs to go on as if nothing had happened.

    Attributes:
        step: optimizer steps done.
        tensors: groups of named tensors (`model`, `optimizer`, `best`).
        state: JSON values.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, num_kept: int = NUM_KEPT) -> Path:
    """Writes one checkpoint and removes all but the newest `num_kept`.

    Raises:
        OSError: no space or no permission; older checkpoints are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{checkpoint.step:08d}"
    temporary = folder / f".{final.name}-{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        manifest = {}
        for name, group in checkpoint.tensors.items():
            # Straight into the file, a group at a time: as bytes they would take twice their size once more.
            path = temporary / f"{name}.safetensors"
            save_file(_apart(group), path)
            _sync(path)
            manifest[path.name] = digest_file(path)
        state = canonical_json({"step": checkpoint.step, **checkpoint.state})
        manifest[STATE] = digest(state)
        for name, content in ((STATE, state), (MANIFEST, canonical_json(manifest))):
            _write_synced(temporary / name, content)
        sync_folder(temporary)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
        sync_folder(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _prune(folder, num_kept)
    return final


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint whose digests hold, or None when there is none at all.

    Raises:
        CheckpointError: there are checkpoints and every one of them is damaged.
    """
    found = _step_folders(folder)
    damages = []
    for candidate in reversed(found):
        try:
            return load_checkpoint(candidate)
        except CheckpointError as error:
            damages.append(str(error))
    if damages:
        raise CheckpointError(
            "every checkpoint is damaged, so training can't go on from any of them: "
            + "; ".join(damages)
            + f". Check the disk; to start this training afresh, remove {folder}."
        )
    return None


def load_checkpoint(folder: Path) -> Checkpoint:
    """Loads and checks one checkpoint.

    Raises:
        CheckpointError: a file is missing, cut or changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = {name: (folder / name).read_bytes() for name in manifest}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} can't be read ({error})") from error
    changed = [name for name, content in files.items() if digest(content) != manifest[name]]
    if changed or STATE not in files:
        raise CheckpointError(f"{folder}: {', '.join(changed) or STATE} is not what was written")
    state = json.loads(files.pop(STATE))
    tensors = {name.removesuffix(".safetensors"): load_tensors(content) for name, content in files.items()}
    return Checkpoint(step=state.pop("step"), tensors=tensors, state=state)


def _apart(group: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of those tensors alone that share their memory with another (a tied head), which the format refuses."""
    found: dict[str, Tensor] = {}
    seen = set()
    for name, tensor in group.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        found[name] = plain.clone() if place in seen or plain.untyped_storage().nbytes() != plain.nbytes else plain
        seen.add(place)
    return found


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _step_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"step-\d{8}", path.name))


def _prune(folder: Path, num_kept: int) -> None:
    for old in _step_folders(folder)[:-num_kept]:
        shutil.rmtree(old)
    for half in folder.glob(".step-*"):
        shutil.rmtree(half, ignore_errors=True)
