"""Cross-fitting: labelled rows are answered by a teacher that never saw their labels. N inputs, C logits.

A teacher repeats the labels that it was trained on; what it would say of such a row without knowing it is the softer
and more honest target (out-of-fold predictions; Wolpert 1992).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from potstill.data.rows import row_digest
from potstill.data.splits import fold_numbers
from potstill.files import digest
from potstill.teachers.base import TeacherContext
from potstill.types import Answers, FloatArray, Input, LabelSchema, Teacher

BLOCK = 1024


def cross_fit(prepare: Callable[[TeacherContext], Teacher], context: TeacherContext, num_folds: int) -> FoldTeacher:
    """Trains one teacher a fold, each on the rows of all other folds.

    Args:
        prepare: trains a teacher on a context's labelled rows.
        context: of the run.
        num_folds: two or more.
    """
    digests = context.labelled.digests()
    fold_N = fold_numbers(context.labelled.labels, digests, num_folds, seed=context.seed)
    members = []
    for fold in range(num_folds):
        labelled = context.labelled.take(np.flatnonzero(fold_N != fold))
        members.append(prepare(replace(context, labelled=labelled, folder=context.folder / f"fold-{fold}")))
    held = dict(zip(digests, fold_N.tolist(), strict=True))
    return FoldTeacher(schema=context.schema, members=tuple(members), held=held)


@dataclass(frozen=True, kw_only=True)
class FoldTeacher:
    """The fold's own outsider answers a labelled row, the mean of all any other row.

    Attributes:
        schema: what the logits stand for.
        members: one teacher a fold.
        held: digest of a labelled row -> the fold whose teacher never saw it.
    """

    schema: LabelSchema
    members: tuple[Teacher, ...]
    held: Mapping[bytes, int]

    @property
    def num_parameters(self) -> int:
        """Of all members."""
        return sum(member.num_parameters or 0 for member in self.members)

    def identity(self) -> dict[str, Any]:
        """Those of the members, and which row is whose."""
        listed = [[key.hex(), fold] for key, fold in sorted(self.held.items())]
        return {"kind": "folds", "members": [member.identity() for member in self.members], "held": digest(listed)}

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """Block by block."""
        for start in range(0, len(inputs), BLOCK):
            block = inputs[start : start + BLOCK]
            yield Answers(positions=np.arange(start, start + len(block)), logits=self._logits(block), refused={})

    def _logits(self, inputs: Sequence[Input]) -> FloatArray:
        owners = np.array([self.held.get(row_digest(value), -1) for value in inputs])
        total_NC = np.zeros((len(inputs), self.schema.num_logits), np.float32)
        for fold, member in enumerate(self.members):
            rows = np.flatnonzero((owners == fold) | (owners == -1))
            for part in member.answer([inputs[i] for i in rows.tolist()]):
                total_NC[rows[part.positions]] += part.logits
        total_NC[owners == -1] /= len(self.members)
        return total_NC
