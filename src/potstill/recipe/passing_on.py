"""What the teacher passed on beyond the labels, picked out for the report. N rows, K classes."""

from __future__ import annotations

import numpy as np

from potstill.evaluation.metrics import probabilities
from potstill.recipe.contest import Lesson
from potstill.report import PassedOn, SoftLabel
from potstill.types import FloatArray, IntArray, LabelSchema

NUM_CLASSES, NUM_OTHERS, NUM_EXAMPLES, NUM_VIEWED = 20, 3, 12, 4
# A likeness that is worth a line: one part in a hundred.
LEAST_SHARE = 0.01


def passed_on(lesson: Lesson, schema: LabelSchema) -> PassedOn:
    """The likenesses in the teacher's soft labels; nothing for data with several labels a row."""
    if lesson.teacher_logits is None or lesson.known is None or len(schema.fields) != 1 or schema.fields[0].multi:
        return PassedOn()
    classes = schema.fields[0].classes
    rows = np.flatnonzero(lesson.known)
    said_NK = probabilities(lesson.teacher_logits[rows].astype(np.float32), schema)
    labels_N = lesson.labels[rows, 0]
    examples = [int(i) for i in _torn(said_NK, labels_N)[:NUM_EXAMPLES]]
    viewed = examples[:NUM_VIEWED] if lesson.views and lesson.views.teacher_logits is not None else []
    return PassedOn(
        likenesses=_likenesses(said_NK, np.where(labels_N >= 0, labels_N, said_NK.argmax(1)), classes),
        examples=[_soft_label(lesson, int(rows[i]), said_NK[i], classes) for i in examples],
        views=[_views_of(lesson, int(rows[i]), said_NK[i], schema) for i in viewed],
    )


def _likenesses(
    said_NK: FloatArray, of_class_N: IntArray, classes: tuple[str, ...]
) -> list[tuple[str, list[tuple[str, float]]]]:
    found = []
    for k, name in enumerate(classes):
        inside = of_class_N == k
        if not inside.any():
            continue
        mean_K = said_NK[inside].mean(0)
        mean_K[k] = 0.0
        order = np.argsort(-mean_K, kind="stable")[:NUM_OTHERS]
        others = [(classes[j], float(mean_K[j])) for j in order if mean_K[j] >= LEAST_SHARE]
        if others:
            found.append((float(mean_K.sum()), name, others))
    found.sort(key=lambda item: -item[0])
    return [(name, others) for _, name, others in found[:NUM_CLASSES]]


def _torn(said_NK: FloatArray, labels_N: IntArray) -> IntArray:
    """Rows that a label says least about: the teacher is right, and sees another class in them. At most two a class."""
    best_N = said_NK.argmax(1)
    second_N = np.partition(said_NK, -2, axis=1)[:, -2]
    right = (labels_N < 0) | (labels_N == best_N)
    order = [i for i in np.argsort(-second_N, kind="stable") if right[i] and second_N[i] >= LEAST_SHARE]
    taken = np.zeros(said_NK.shape[1], int)
    found = []
    for i in order:
        taken[best_N[i]] += 1
        if taken[best_N[i]] <= 2:
            found.append(i)
    return np.array(found, np.int64)


def _soft_label(lesson: Lesson, row: int, said_K: FloatArray, classes: tuple[str, ...]) -> SoftLabel:
    label = int(lesson.labels[row, 0])
    return SoftLabel(value=lesson.inputs[row], label=classes[label] if label >= 0 else "", said=_named(said_K, classes))


def _views_of(lesson: Lesson, row: int, said_K: FloatArray, schema: LabelSchema) -> list[SoftLabel]:
    """The input, then its views as far as the teacher answered them."""
    assert lesson.views is not None and lesson.views.teacher_logits is not None, "asked for views that nobody answered"
    classes = schema.fields[0].classes
    found = [_soft_label(lesson, row, said_K, classes)]
    for number, logits_NC in enumerate(lesson.views.teacher_logits, start=1):
        said = probabilities(logits_NC[row : row + 1].astype(np.float32), schema)[0]
        value = lesson.views.views.show(lesson.inputs, row, number).value
        found.append(SoftLabel(value=value, label=found[0].label, said=_named(said, classes)))
    return found


def _named(said_K: FloatArray, classes: tuple[str, ...]) -> list[tuple[str, float]]:
    order = np.argsort(-said_K, kind="stable")[:NUM_OTHERS]
    return [(classes[k], float(said_K[k])) for k in order]
