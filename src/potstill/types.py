"""The words that all rooms share: what a label is, what a prediction is, and who predicts.

Shape suffixes used everywhere: N rows, L label columns, C logits, B batch, T tokens, D width.

Labels are whole numbers so that a million rows stay small. A field with one answer takes one column that
holds the index of its class. A field with several answers (multi-label) takes one column for each class
that holds 0 or 1. `UNLABELLED` and `OUT_OF_SCOPE` stand for what isn't a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from potstill.errors import DataError

Input = str | NDArray[Any]
"""One text, or one array (a picture as H x W x 3 uint8, a sound as float32 samples)."""

UNLABELLED = -1
OUT_OF_SCOPE = -2
OTHER = "other"
"""Name of the class that stands for all classes a service does not keep."""

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One question that a row answers.

    Attributes:
        name: name of the column or of the key in the JSON label.
        classes: the possible answers, in the order of the logits.
        multi: several answers may hold at once (one sigmoid a class instead of one softmax).
    """

    name: str
    classes: tuple[str, ...]
    multi: bool = False

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"field {self.name!r} names a class twice: {sorted(self.classes)}")
        if len(self.classes) < (1 if self.multi else 2):
            raise DataError(
                f"field {self.name!r} has {len(self.classes)} class ({', '.join(self.classes)}). A classifier needs at "
                "least two, else there is nothing to tell apart. Check the label column."
            )

    @property
    def num_columns(self) -> int:
        """Columns that this field takes in a label array."""
        return len(self.classes) if self.multi else 1


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """The fields of a task, and where each stands in the logits and in the label columns."""

    fields: tuple[Field, ...]

    @property
    def num_logits(self) -> int:
        """C: total number of logits."""
        return sum(len(field.classes) for field in self.fields)

    @property
    def num_columns(self) -> int:
        """L: total number of label columns."""
        return sum(field.num_columns for field in self.fields)

    def parts(self) -> Iterator[tuple[Field, slice, slice]]:
        """Yields each field with its slice of the logits and its slice of the label columns."""
        logit = column = 0
        for field in self.fields:
            yield (
                field,
                slice(logit, logit + len(field.classes)),
                slice(column, column + field.num_columns),
            )
            logit += len(field.classes)
            column += field.num_columns

    def sums_rest_of(self, full: LabelSchema) -> bool:
        """Whether `other` stands here for all classes of another schema that this one doesn't keep."""
        return self.fields[0].classes[-1] == OTHER and OTHER not in full.fields[0].classes

    def to_json(self) -> list[dict[str, Any]]:
        """The form in manifests and reports."""
        return [{"name": f.name, "classes": list(f.classes), "multi": f.multi} for f in self.fields]

    @classmethod
    def from_json(cls, fields: Sequence[Mapping[str, Any]]) -> LabelSchema:
        """Reads what `to_json` wrote."""
        return cls(
            tuple(
                Field(name=str(f["name"]), classes=tuple(map(str, f["classes"])), multi=bool(f["multi"]))
                for f in fields
            )
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a run noticed or decided, to be said in the reader's language (see `potstill.report.words`).

    Attributes:
        code: which sentence.
        values: what goes into it, as JSON values.
    """

    code: str
    values: Mapping[str, Any]


class Predictor(Protocol):
    """Anything that predicts: a teacher, a student, a control, an exported bundle, an endpoint."""

    def logits(self, inputs: Sequence[Input]) -> FloatArray:
        """Returns float32 logits of shape N x C, in the order of the schema that it was made for."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a teacher said about n of the inputs it was given, as soon as it is known.

    Attributes:
        positions: which inputs, shape n.
        logits: float32, n x C; rows that were refused hold zeros.
        refused: position -> why that answer can't be used (it is counted, and never kept as truth).
        cost: what these answers cost, in the currency of the price given; 0 for a local model.
        num_calls: calls made, retries included.
        num_tokens: tokens billed.
    """

    positions: IntArray
    logits: FloatArray
    refused: Mapping[int, str]
    cost: float = 0.0
    num_calls: int = 0
    num_tokens: int = 0


class Teacher(Protocol):
    """A model that is asked once, and whose answers are kept."""

    @property
    def schema(self) -> LabelSchema:
        """What its logits stand for; may hold more classes than the service keeps."""
        ...

    @property
    def num_parameters(self) -> int | None:
        """Parameters, None when nobody tells (an API)."""
        ...

    def identity(self) -> dict[str, Any]:
        """Everything that could change an answer (weights, tokenizer, prompt, preprocessing) as JSON values."""
        ...

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """Answers all inputs, in any order, in parts that the caller keeps as they come.

        Raises:
            TeacherUnavailableError: it can't be reached; parts that were yielded stay valid.
            BudgetError: the next call would pass the budget; parts that were yielded stay valid.
        """
        ...


class Progress(Protocol):
    """Where long work says how far it is."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begins a stage of `total` units (None: nobody knows)."""
        ...

    def advance(self, count: int = 1) -> None:
        """Counts units that are done. State must be consistent here.

        Raises:
            PreemptedError: somebody asked the process to stop; save and let it pass.
        """
        ...

    def say(self, message: str) -> None:
        """One line that a person should see."""
        ...


class Silent:
    """Progress that says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begins a stage."""

    def advance(self, count: int = 1) -> None:
        """Counts units."""

    def say(self, message: str) -> None:
        """Drops the line."""
