"""What every export starts from: the trained student of a run, and rows that measure the ranges of int8."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.errors import ConfigurationError, IntegrityError
from potstill.files import write_atomic
from potstill.runtime import Model, load
from potstill.students.base import Student
from potstill.students.kept import keep_network, load_network
from potstill.types import Input

NETWORK, CALIBRATION = "network", "calibration.npz"
NUM_KEPT = 128

Batch = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A student to export.

    Attributes:
        student: in fp32, as it was trained.
        bundle: the same as the run's fp32 bundle, with labels, temperatures and threshold.
        fp32_model: the network of that bundle, ONNX.
        calibration: arrays of one real input each, none of them a test row.
    """

    student: Student
    fp32_model: bytes
    bundle: Model
    calibration: Sequence[Batch]

    @property
    def max_length(self) -> int | None:
        """Longest second axis of the arrays; None where nothing bounds it or there is none."""
        return getattr(self.student.preprocessor, "max_length", None)

    @property
    def probes(self) -> list[Input]:
        """A few real inputs."""
        return self.bundle.probe_inputs()

    @property
    def has_length(self) -> bool:
        """Whether the arrays grow with the input."""
        return all(array.ndim == 2 for array in self.calibration[0].values())


def keep_source(folder: Path, student: Student, inputs: Sequence[Input]) -> None:
    """Writes the network and calibration rows of a run's student into its folder of bundles."""
    if not keep_network(folder / NETWORK, student.module):
        return
    rows = student.preprocessor.encode(list(inputs[:NUM_KEPT]))
    arrays: dict[str, Any] = {
        f"{i}|{name}": array for i, row in enumerate(rows) for name, array in student.preprocessor.batch([row]).items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomic(folder / NETWORK / CALIBRATION, buffer.getvalue())


def load_source(folder: Path) -> Source:
    """Reads what `keep_source` wrote.

    Args:
        folder: of the student's bundles, `RUN/contenders/student`.

    Raises:
        ConfigurationError: no finished run, or one that kept no network.
        IntegrityError: the files are not those that were written.
    """
    if not (folder / "fp32" / "manifest.json").exists():
        raise ConfigurationError(f"{folder} holds no fp32 bundle, so this is not the folder of a finished run.")
    bundle = load(folder / "fp32")
    module = load_network(folder / NETWORK)
    student = Student(module=module, preprocessor=bundle.preprocessor, schema=bundle.schema)
    return Source(
        student=student,
        bundle=bundle,
        fp32_model=(folder / "fp32" / "model.onnx").read_bytes(),
        calibration=_calibration(folder / NETWORK / CALIBRATION),
    )


def _calibration(path: Path) -> list[Batch]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found: dict[int, Batch] = {}
            for key in arrays.files:
                number, name = key.split("|", 1)
                found.setdefault(int(number), {})[name] = arrays[key]
    except (OSError, ValueError, KeyError) as error:
        raise IntegrityError(f"{path} can't be read ({error}). Run the same command with another --out.") from error
    return [found[i] for i in sorted(found)]
