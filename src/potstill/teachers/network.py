"""A teacher for pictures and sounds that is trained here: a wide residual network on the labelled rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np

from potstill.data.views import Views, may_flip
from potstill.students.base import StudentContext
from potstill.students.resnet import ResNet
from potstill.teachers.base import TeacherContext, check_least
from potstill.teachers.fit import fit, settled_numerics, usual_threads
from potstill.teachers.trained import TrainedTeacher
from potstill.training.batches import steps_per_epoch
from potstill.training.device import Numerics
from potstill.training.loop import Plan

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
        start = StudentContext(
            schema=context.schema,
            transfer_inputs=context.labelled.inputs,
            encoder=None,
            seed=context.seed,
            sample_rate=context.sample_rate,
        )
        first = context.labelled.inputs[0]
        is_sound = not isinstance(first, str) and first.ndim == 1
        student = self._builder(is_sound=is_sound).build(start, dropout=self.dropout)
        numerics = settled_numerics(context.folder, self.precision, student, context.labelled.inputs, context.device)
        plan = self._plan(len(context.labelled), numerics, context.seed, is_sound=is_sound)
        views = Views(
            # One more than there are epochs, so that no view comes twice.
            num_views=1 + plan.num_steps // plan.evaluate_every,
            flip=may_flip(self.flip, context.labelled.inputs[0]),
            sample_rate=context.sample_rate,
            seed=context.seed,
        )
        fit(student, plan, context, views=views)
        return TrainedTeacher(student=student, precision=numerics.precision, device=context.device)

    def _builder(self, *, is_sound: bool) -> ResNet:
        depth, width = (14, 16) if is_sound else (20, 32)
        return ResNet(depth=self.depth or depth, width=self.width or width, size=self.size, num_mels=self.num_mels)

    def _plan(self, num_rows: int, numerics: Numerics, seed: int, *, is_sound: bool) -> Plan:
        worth = 40_000 if is_sound else 600_000
        num_epochs = self.num_epochs or int(np.clip(round(worth / max(num_rows, 1)), 10, 60))
        per_epoch = steps_per_epoch(num_rows, self.batch_size)
        num_steps = num_epochs * per_epoch
        if self.num_epochs is None:
            num_steps = max(num_steps, LEAST_STEPS)
        return Plan(
            num_steps=num_steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer="sgd",
            weight_decay=5e-4,
            evaluate_every=per_epoch,
            precision=numerics.precision,
            channels_last=numerics.channels_last,
            seed=seed,
            num_threads=self.num_threads or usual_threads(),
        )
