"""Rows: the table that all stages hand on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from potstill.types import UNLABELLED, Input, IntArray, LabelSchema


def row_digest(value: Input) -> bytes:
    """SHA-256 of one input: of a text's UTF-8, or of an array's type, shape and bytes."""
    if isinstance(value, str):
        return hashlib.sha256(b"text\0" + value.encode("utf-8", "surrogatepass")).digest()
    array = np.ascontiguousarray(value)
    head = f"array\0{array.dtype.str}\0{array.shape}\0".encode()
    return hashlib.sha256(head + array.tobytes()).digest()


@dataclass(frozen=True, kw_only=True)
class Rows:
    """N inputs with their labels.

    Attributes:
        inputs: N texts or arrays.
        labels: int32, N x L (see `potstill.types`); `UNLABELLED` where nothing is known.
        line_numbers: 1-based line (or record) of each row in its file, for messages.
        source: name of the file, for messages.
        columns: further columns that were asked for by name, such as a teacher's recorded answers.
    """

    inputs: Sequence[Input]
    labels: IntArray
    line_numbers: IntArray
    source: str = ""
    columns: Mapping[str, Sequence[object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert len(self.inputs) == len(self.labels) == len(self.line_numbers), "columns of one table"

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, positions: IntArray) -> Rows:
        """The rows at these positions, in this order."""
        inputs = self.inputs
        return Rows(
            inputs=[inputs[i] for i in positions],
            labels=self.labels[positions],
            line_numbers=self.line_numbers[positions],
            source=self.source,
            columns={name: [values[i] for i in positions] for name, values in self.columns.items()},
        )

    def digests(self) -> list[bytes]:
        """`row_digest` of every input: the identity under which a teacher's answers are kept."""
        return [row_digest(value) for value in self.inputs]

    @classmethod
    def unlabelled(cls, inputs: Sequence[Input], schema: LabelSchema, *, source: str = "") -> Rows:
        """Rows without labels."""
        labels = np.full((len(inputs), schema.num_columns), UNLABELLED, np.int32)
        return cls(inputs=inputs, labels=labels, line_numbers=np.arange(1, len(inputs) + 1), source=source)


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of several tables one after the other; columns that all of them have stay."""
    names = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    return Rows(
        inputs=[value for part in parts for value in part.inputs],
        labels=np.concatenate([part.labels for part in parts]),
        line_numbers=np.concatenate([part.line_numbers for part in parts]),
        source=parts[-1].source,
        columns={name: [value for part in parts for value in part.columns[name]] for name in names},
    )
