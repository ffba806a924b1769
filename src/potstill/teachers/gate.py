"""The gate before distillation: a teacher that can't do the job has nothing to pass on."""

from __future__ import annotations

import numpy as np

from potstill.errors import GateError
from potstill.evaluation.metrics import accuracy, answers, is_right
from potstill.types import FloatArray, IntArray, LabelSchema


def check_gate(dev_logits: FloatArray, dev_labels: IntArray, schema: LabelSchema, minimum: float | None) -> float:
    """Returns the teacher's dev accuracy if it is good enough.

    Args:
        dev_logits: N x C.
        dev_labels: N x L; rows without labels don't count.
        schema: what both stand for.
        minimum: least accuracy; None asks for more than always giving the most frequent answer would reach.

    Raises:
        GateError: it is not.
    """
    known = (dev_labels >= 0).any(1)
    labels = dev_labels[known]
    reached = accuracy(dev_logits[known], labels, schema)
    _, counts = np.unique(labels, axis=0, return_counts=True)
    majority = float(counts.max() / len(labels)) if len(labels) else 0.0
    wanted = majority if minimum is None else minimum
    is_enough = reached > wanted if minimum is None else reached >= wanted
    if not is_enough:
        why = "what always giving the most frequent answer reaches" if minimum is None else "teacher.minimum_accuracy"
        right = int(is_right(answers(dev_logits[known], schema), labels).sum())
        raise GateError(
            f"the teacher is right on {reached:.1%} of the dev rows ({right} of {len(labels)}); {wanted:.1%} is asked "
            f"({why}). A student would learn its mistakes, so nothing was distilled. Check the labels and the "
            "columns, give more labelled rows, or take another --teacher."
        )
    return reached
