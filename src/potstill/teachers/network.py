"""A teacher for pictures and sounds that is trained here: a wide residual network on the labelled rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np

from potstill.students.resnet import ResNet
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.fit import fit_views, settled_numerics, student_context
from potstill.teachers.trained import TrainedTeacher
from potstill.training.batches import steps_per_epoch

# Fewer steps than this teach nothing, however few the rows are.
LEAST_STEPS = 300


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A larger network than the student's, trained on the labelled rows with a new view in every epoch.

    Attributes:
        depth: convolutions along the way, 6 n + 2; None takes 20 for pictures and 14 for sounds.
        width: filters of the first stage; None takes 32 for pictures and 16 for sounds, whose spectra are larger.
        size: side that pictures are brought to; 0 keeps small ones as they are and brings others to 64.
        num_mels: bands of a sound.
        num_epochs: passes over the labelled rows; None takes about 600,000 pictures' or 40,000 sounds' worth, at least
            10 and at most 60.
        batch_size: rows a step.
        learning_rate: peak, with Nesterov momentum.
        dropout: share of features dropped.
        flip: whether pictures are also shown mirrored; `auto` does so with colour pictures.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_threads: of torch while it trains and answers; 0 takes OMP_NUM_THREADS, else the machine's cores, four at
            most.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["network"] = "network"
    depth: int | None = None
    width: int | None = None
    size: int = 0
    num_mels: int = 40
    num_epochs: int | None = None
    batch_size: int = 64
    learning_rate: float = 0.1
    dropout: float = 0.1
    flip: Literal["auto", "yes", "no"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_threads: int = 0
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        check_least(num_epochs=(self.num_epochs, 1), batch_size=(self.batch_size, 2), num_threads=(self.num_threads, 0))
        self._builder(is_sound=False)

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def prepare(self, context: TeacherContext) -> TrainedTeacher:
        """Trains, or loads what was trained before in the same folder."""
        first = context.labelled.inputs[0]
        is_sound = not isinstance(first, str) and first.ndim == 1
        student = self._builder(is_sound=is_sound).build(student_context(context), dropout=self.dropout)
        numerics = settled_numerics(context.folder, self.precision, student, context.labelled.inputs, context.device)
        fit_views(
            student,
            context,
            numerics,
            num_steps=self._num_steps(len(context.labelled), is_sound=is_sound),
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            flip=self.flip,
            num_threads=self.num_threads,
        )
        return TrainedTeacher(student=student, precision=numerics.precision, device=context.device)

    def _builder(self, *, is_sound: bool) -> ResNet:
        depth, width = (14, 16) if is_sound else (20, 32)
        return ResNet(depth=self.depth or depth, width=self.width or width, size=self.size, num_mels=self.num_mels)

    def _num_steps(self, num_rows: int, *, is_sound: bool) -> int:
        per_epoch = steps_per_epoch(num_rows, self.batch_size)
        if self.num_epochs:
            return self.num_epochs * per_epoch
        worth = 40_000 if is_sound else 600_000
        num_epochs = int(np.clip(round(worth / max(num_rows, 1)), 10, 60))
        return max(num_epochs * per_epoch, LEAST_STEPS)
