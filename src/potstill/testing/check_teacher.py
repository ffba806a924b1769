"""The contract of a teacher, for built-in ones and yours."""

from __future__ import annotations

import numpy as np

from potstill.files import canonical_json
from potstill.teachers.base import TeacherContext, TeacherSpec
from potstill.types import FloatArray, IntArray, Teacher


def check_teacher(spec: TeacherSpec, context: TeacherContext) -> None:
    """Checks what every teacher owes its callers.

    Its configuration and identity are JSON; prepared twice it has the same identity and gives the same answers; every
    input is answered or refused exactly once; logits are finite and of the schema's width.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    canonical_json(spec.config())
    first, second = spec.prepare(context), spec.prepare(context)
    assert canonical_json(first.identity()) == canonical_json(second.identity()), "two preparations differ in identity"
    logits, known = _ask(first, context)
    again, known_again = _ask(second, context)
    assert np.array_equal(known, known_again), "the same inputs were refused once and answered once"
    assert np.array_equal(logits[known], again[known]), "the same identity gave different answers"


def _ask(teacher: Teacher, context: TeacherContext) -> tuple[FloatArray, IntArray]:
    inputs = [*context.labelled.inputs, *context.dev.inputs]
    width = teacher.schema.num_logits
    logits = np.zeros((len(inputs), width), np.float32)
    known = np.zeros(len(inputs), bool)
    seen = np.zeros(len(inputs), np.int64)
    for part in teacher.answer(inputs):
        assert part.logits.shape == (len(part.positions), width), f"logits of shape {part.logits.shape}"
        assert set(part.refused) <= set(part.positions.tolist()), "a refusal of a row that is not in its part"
        seen[part.positions] += 1
        logits[part.positions] = part.logits
        known[part.positions] = [int(position) not in part.refused for position in part.positions]
    assert (seen == 1).all(), f"inputs answered not exactly once: {np.flatnonzero(seen != 1)[:5]}"
    assert np.isfinite(logits[known]).all(), "a logit is not finite"
    return logits, known
