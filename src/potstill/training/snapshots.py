"""The weights of a training's last evaluations, for whoever wants more of it than its best step.

They are no checkpoints: nothing goes on from them. A training that is done again writes the same ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from potstill.errors import CheckpointError
from potstill.files import write_atomic

FOLDER = "snapshots"


def keep_snapshot(folder: Path, step: int, weights: Mapping[str, Tensor], *, num_kept: int) -> None:
    """Writes the weights of a step, and forgets all but the last `num_kept`.

    Raises:
        OSError: no space or no permission.
    """
    content = save_tensors({name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()})
    write_atomic(folder / FOLDER / f"{step:08d}.safetensors", content)
    for old in sorted((folder / FOLDER).glob("*.safetensors"))[:-num_kept]:
        old.unlink()


def list_snapshots(folder: Path) -> dict[int, Path]:
    """Step -> file, the earliest first."""
    return {int(path.stem): path for path in sorted((folder / FOLDER).glob("*.safetensors"))}


def load_snapshot(path: Path) -> dict[str, Tensor]:
    """The weights of a step.

    Raises:
        CheckpointError: the file is damaged.
    """
    try:
        weights: dict[str, Tensor] = load_tensors(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} can't be read ({error}). Remove it; the student itself is not affected."
        ) from error
    return weights


def forget_snapshots(folder: Path) -> None:
    """Removes them all."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
