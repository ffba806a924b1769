"""A teacher whose answers stand in the data already: nothing is run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
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
        label_column: column with the teacher's label; with several fields a JSON object of them. In place of a label
            may stand an object of probabilities by class; a class that is not in it has none.
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
            ConfigurationError: several answers to one field, or several fields without labels.
            DataError: a column is missing, or one input has two different answers.
        """
        schema = context.schema
        if any(field.multi for field in schema.fields):
            raise ConfigurationError("a recorded teacher answers each field with one class; this data has another form")
        if len(schema.fields) > 1 and not self.label_column:
            raise ConfigurationError(
                "teacher: of several fields a recorded teacher reads labels, as JSON objects in label_column"
            )
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
        if self.label_column:
            return self._of_labels(cells[0], schema)
        try:
            values = np.array([float(str(cell)) for cell in cells])
        except ValueError:
            return UNRECORDED if not any(cells) else "not a number"
        if not np.isfinite(values).all():
            return "not a number"
        if self.logit_prefix:
            return values.astype(np.float32)
        return _logs(values)

    def _of_labels(self, cell: object, schema: LabelSchema) -> FloatArray | str:
        """Logits of all fields, or the reason why there are none."""
        several = len(schema.fields) > 1
        said = _objects(cell) if several else cell
        if several and not isinstance(said, Mapping):
            return "no JSON object with an answer for each field" if cell else UNRECORDED
        parts: list[FloatArray] = []
        for field in schema.fields:
            value = said.get(field.name) if isinstance(said, Mapping) and several else said
            if value not in field.classes and isinstance(listed := _objects(value), Mapping):
                found = _of_masses(listed, field.classes)
                if isinstance(found, str):
                    return found
                parts.append(found)
                continue
            name = "" if value is None else str(value).strip()
            if name not in field.classes:
                return f"unknown label {name!r}" if name else UNRECORDED
            rest = (1 - self.confidence) / max(len(field.classes) - 1, 1)
            logits = np.full(len(field.classes), math.log(rest), np.float32)
            logits[field.classes.index(name)] = math.log(self.confidence)
            parts.append(logits)
        return np.concatenate(parts)


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


def _of_masses(masses: Mapping[str, object], classes: Sequence[str]) -> FloatArray | str:
    """Logits of probabilities by class, or the reason why there are none."""
    strange = [name for name in masses if name not in classes]
    if strange:
        return f"unknown label {strange[0]!r}"
    values = [masses.get(name, 0.0) for name in classes]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return "not a number"
    return _logs(np.array(values, np.float64))


def _logs(values: FloatArray) -> FloatArray | str:
    if (values < 0).any() or abs(values.sum() - 1) > SUM_TOLERANCE:
        return "probabilities don't add up to 1"
    logs: FloatArray = np.log(np.maximum(values, LEAST_PROBABILITY)).astype(np.float32)
    return logs


def _objects(cell: object) -> object:
    """A JSON object that stands in a cell as text, as in CSV."""
    if isinstance(cell, str) and cell.startswith("{"):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _same(one: FloatArray | str, other: FloatArray | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and one == other
    return bool(np.array_equal(one, other))
