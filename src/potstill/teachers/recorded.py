"""A teacher whose answers stand in the data already: nothing is run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np

from potstill.data.rows import Rows, row_digest
from potstill.errors import ConfigurationError, DataError
from potstill.files import digest
from potstill.teachers.base import TeacherContext
from potstill.types import Answers, FloatArray, Input, LabelSchema

LEAST_PROBABILITY = 1e-6
# Rounded probabilities of 77 classes may miss 1 by this much.
SUM_TOLERANCE = 0.02
UNRECORDED = "no recorded answer"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """Reads a label, or a number for each class, from columns of the data; of views of a row nothing is recorded.

    Attributes:
        label_column: column with the teacher's label.
        probability_prefix: columns of this prefix and a class's name hold its probability.
        logit_prefix: columns of this prefix and a class's name hold its logit.
        confidence: probability that a label alone stands for; the other classes share the rest.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    sees_views = False
    kind: Literal["recorded"] = "recorded"
    label_column: str = ""
    probability_prefix: str = ""
    logit_prefix: str = ""
    confidence: float = 0.9
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        given = [n for n in ("label_column", "probability_prefix", "logit_prefix") if getattr(self, n)]
        if len(given) != 1:
            raise ConfigurationError(
                "teacher: a recorded teacher needs one of label_column, probability_prefix and logit_prefix; got "
                f"{', '.join(given) or 'none'}"
            )
        if not 0 < self.confidence < 1:
            raise ConfigurationError(f"teacher.confidence is {self.confidence}; it is a probability, between 0 and 1")

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column or the prefix of the columns that it reads; its presence makes a run carry columns along."""
        return (self.label_column or self.probability_prefix or self.logit_prefix,)

    def prepare(self, context: TeacherContext) -> RecordedTeacher:
        """Looks up the answers of all rows.

        Raises:
            ConfigurationError: labels of more than one answer or field.
            DataError: a column is missing, or one input has two different answers.
        """
        schema = context.schema
        if len(schema.fields) != 1 or schema.fields[0].multi:
            raise ConfigurationError("a recorded teacher answers one field with one class; this data has another form")
        answers: dict[bytes, FloatArray | str] = {}
        places: dict[bytes, str] = {}
        for rows in (context.labelled, context.dev, context.test, context.unlabelled):
            if len(rows):
                self._collect(rows, schema, answers, places)
        return RecordedTeacher(schema=schema, answers=answers)

    def _collect(
        self, rows: Rows, schema: LabelSchema, answers: dict[bytes, FloatArray | str], places: dict[bytes, str]
    ) -> None:
        columns = self._columns(rows, schema)
        for i, key in enumerate(rows.digests()):
            answer = self._answer([column[i] for column in columns], schema)
            place = f"{rows.source}, line {rows.line_numbers[i]}"
            known = answers.get(key)
            if known is not None and not _same(known, answer):
                raise DataError(
                    f"the recorded answers contradict each other: {places[key]} and {place} hold the same input with "
                    "different answers. Keep one of the rows."
                )
            answers[key], places[key] = answer, place

    def _columns(self, rows: Rows, schema: LabelSchema) -> list[Sequence[object]]:
        prefix = self.probability_prefix or self.logit_prefix
        names = [self.label_column] if self.label_column else [f"{prefix}{c}" for c in schema.fields[0].classes]
        missing = [name for name in names if name not in rows.columns]
        if missing:
            raise DataError(
                f"{rows.source} has no column {', '.join(map(repr, missing[:5]))}, where the teacher's answers "
                f"should stand. It has: {', '.join(map(repr, rows.columns)) or 'none besides text and label'}."
            )
        return [rows.columns[name] for name in names]

    def _answer(self, cells: Sequence[object], schema: LabelSchema) -> FloatArray | str:
        """Logits, or the reason why there are none."""
        classes = schema.fields[0].classes
        if self.label_column:
            name = "" if cells[0] is None else str(cells[0]).strip()
            if name not in classes:
                return f"unknown label {name!r}" if name else UNRECORDED
            rest = (1 - self.confidence) / max(len(classes) - 1, 1)
            logits = np.full(len(classes), math.log(rest), np.float32)
            logits[classes.index(name)] = math.log(self.confidence)
            return logits
        try:
            values = np.array([float(str(cell)) for cell in cells])
        except ValueError:
            return UNRECORDED if not any(cells) else "not a number"
        if not np.isfinite(values).all():
            return "not a number"
        if self.logit_prefix:
            return values.astype(np.float32)
        if (values < 0).any() or abs(values.sum() - 1) > SUM_TOLERANCE:
            return "probabilities don't add up to 1"
        logs: FloatArray = np.log(np.maximum(values, LEAST_PROBABILITY)).astype(np.float32)
        return logs


@dataclass(frozen=True, kw_only=True)
class RecordedTeacher:
    """Answers by looking up."""

    schema: LabelSchema
    answers: dict[bytes, FloatArray | str]

    @property
    def num_parameters(self) -> None:
        """Nobody tells."""
        return None

    def identity(self) -> dict[str, Any]:
        """All answers."""
        listed = [
            [key.hex(), value if isinstance(value, str) else digest(value.tobytes())]
            for key, value in sorted(self.answers.items())
        ]
        return {"kind": "recorded", "answers": digest(listed)}

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """All at once."""
        logits_NC = np.zeros((len(inputs), self.schema.num_logits), np.float32)
        refused: dict[int, str] = {}
        for i, value in enumerate(inputs):
            found = self.answers.get(row_digest(value), UNRECORDED)
            if isinstance(found, str):
                refused[i] = found
            else:
                logits_NC[i] = found
        yield Answers(positions=np.arange(len(inputs)), logits=logits_NC, refused=refused)


def _same(one: FloatArray | str, other: FloatArray | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and one == other
    return bool(np.array_equal(one, other))
