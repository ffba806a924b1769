"""The contract of an exporter: what comes out predicts what went in, through the device's runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from potstill.runtime import Model
from potstill.students.base import Student
from potstill.types import Input


def check_exporter(
    export: Callable[[Student, Path], Model],
    student: Student,
    inputs: Sequence[Input],
    folder: Path,
    *,
    tolerance: float,
) -> None:
    """Checks an export of a student.

    Args:
        export: writes a bundle into a folder and returns it loaded.
        student: a trained student.
        inputs: real inputs, of several lengths where inputs have one.
        folder: an empty one.
        tolerance: largest difference of a logit, relative to the largest logit.

    Raises:
        AssertionError: logits differ, the bundle's own probes fail, or exporting twice gives two networks.
    """
    expected = student.logits(inputs)
    model = export(student, folder / "first")
    limit = tolerance * max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(model.logits(inputs) - expected).max())
    assert difference <= limit, f"logits differ by {difference:.3g}, at most {limit:.3g} was promised"
    model.self_test()
    export(student, folder / "second")
    first, second = ((folder / name / "model.onnx").read_bytes() for name in ("first", "second"))
    assert first == second, "exporting twice gives two networks"
