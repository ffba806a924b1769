"""What the sections of a report are made of, worked out from an assessment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.evaluation.assessment import Assessment
from potstill.types import IntArray, LabelSchema

GROUPS = ("teacher_only", "student_only", "both_wrong", "both_right")
# Up to here accuracy and balanced accuracy say the same.
EVEN_RATIO = 2
SHOWN = {"teacher_only": 40, "student_only": 40, "both_wrong": 40, "both_right": 10}


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A wrong answer of the student.

    Attributes:
        label: the true class.
        said: the answer.
        num_rows: how often the student gave it.
        num_teacher: how often the teacher gave it; None without one.
    """

    label: str
    said: str
    num_rows: int
    num_teacher: int | None


def top_confusions(assessment: Assessment, limit: int = 15) -> list[Confusion]:
    """The most frequent wrong answers in fields with one answer."""
    found = []
    for field, _, column in assessment.schema.parts():
        if field.multi:
            continue
        labels = assessment.test_labels[:, column.start]
        student = _wrong(labels, assessment.test_answers["student"][:, column.start])
        has_teacher = "teacher" in assessment.test_answers
        teacher = _wrong(labels, assessment.test_answers["teacher"][:, column.start]) if has_teacher else Counter()
        for (label, said), count in student.most_common(limit):
            found.append(
                Confusion(
                    label=field.classes[label],
                    said=field.classes[said],
                    num_rows=count,
                    num_teacher=teacher[label, said] if has_teacher else None,
                )
            )
    return sorted(found, key=lambda c: -c.num_rows)[:limit]


def _wrong(labels: IntArray, said: IntArray) -> Counter[tuple[int, int]]:
    rows = (labels >= 0) & (labels != said)
    return Counter(zip(labels[rows].tolist(), said[rows].tolist(), strict=True))


def confusion_matrix(assessment: Assessment, name: str) -> IntArray | None:
    """Rows are true classes, columns answers; None where there is no such table or it is too large to read."""
    schema = assessment.schema
    if len(schema.fields) != 1 or schema.fields[0].multi or len(schema.fields[0].classes) > 20:
        return None
    size = len(schema.fields[0].classes)
    matrix = np.zeros((size, size), np.int64)
    np.add.at(matrix, (assessment.test_labels[:, 0], assessment.test_answers[name][:, 0]), 1)
    return matrix


def disagreements(assessment: Assessment) -> dict[str, tuple[int, list[int]]]:
    """Group -> (rows in it, positions that are shown): the student's surest answers first."""
    right = {name: _right(assessment, name) for name in ("student", "teacher")}
    masks = {
        "teacher_only": right["teacher"] & ~right["student"],
        "student_only": right["student"] & ~right["teacher"],
        "both_wrong": ~right["teacher"] & ~right["student"],
        "both_right": right["teacher"] & right["student"],
    }
    sure = assessment.test_confidence["student"]
    found = {}
    for group in GROUPS:
        rows = np.flatnonzero(masks[group])
        # Among what both get right the least sure rows are the interesting ones.
        order = sure[rows] if group == "both_right" else -sure[rows]
        found[group] = (len(rows), rows[np.argsort(order, kind="stable")][: SHOWN[group]].tolist())
    return found


def _right(assessment: Assessment, name: str) -> IntArray:
    labels = assessment.test_labels
    met: IntArray = ((assessment.test_answers[name] == labels) | (labels < 0)).all(1)
    return met


def label_text(schema: LabelSchema, columns: IntArray) -> str:
    """One row's label columns as text."""
    parts: list[str] = []
    for field, _, column in schema.parts():
        values = columns[column]
        if field.multi:
            names = [name for name, value in zip(field.classes, values, strict=True) if value == 1]
            said = ", ".join(names) or "-"
        else:
            said = field.classes[values[0]] if values[0] >= 0 else "-"
        parts.append(said if len(schema.fields) == 1 else f"{field.name}: {said}")
    return "; ".join(parts)


def f1_changes(assessment: Assessment) -> list[tuple[str, float, float]]:
    """(class, teacher's F1, student's F1), regressions first; empty without a teacher."""
    if "teacher" not in assessment.test_answers:
        return []
    several = len(assessment.schema.fields) > 1
    pairs = zip(assessment.score("teacher").classes, assessment.score("student").classes, strict=True)
    found = [(f"{s.field}: {s.label}" if several else s.label, t.f1, s.f1) for t, s in pairs if s.num_rows]
    return sorted(found, key=lambda item: item[2] - item[1])


def is_uneven(assessment: Assessment) -> bool:
    """Whether the largest class has more than twice the test rows of the smallest."""
    counts = [score.num_rows for score in assessment.score("student").classes if score.num_rows]
    return max(counts) > EVEN_RATIO * min(counts)


def ratios(assessment: Assessment) -> tuple[float, float] | None:
    """How many times smaller and faster than the teacher the student is; None where the teacher wasn't measured."""
    teacher, student = assessment.score("teacher"), assessment.score("student")
    if not (teacher.size_bytes and student.size_bytes and teacher.latency and student.latency):
        return None
    return teacher.size_bytes / student.size_bytes, teacher.latency.p50 / student.latency.p50


def setting_names(trials: Sequence[Any]) -> list[str]:
    """The settings in which the trials differ."""
    names = ("signal", "temperature", "learning_rate", "dropout", "label_smoothing", "augmentation")
    return [name for name in names if len({str(trial.get(name)) for trial in trials}) > 1]
