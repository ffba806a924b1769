"""A table of named columns, read from a file or taken from Python objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from potstill.errors import DataError
from potstill.types import Finding, IntArray


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of equal length.

    Attributes:
        columns: name -> values, None where a row has none.
        line_numbers: 1-based line (or record) of each row in its source.
        source: name for messages.
        findings: what was noticed while reading.
    """

    columns: Mapping[str, Sequence[Any]]
    line_numbers: IntArray
    source: str
    findings: tuple[Finding, ...] = ()

    def __len__(self) -> int:
        return len(self.line_numbers)

    def column(self, name: str, option: str = "") -> Sequence[Any]:
        """The values of a column.

        Args:
            name: of the column.
            option: of the command line that names it, for the message.

        Raises:
            DataError: there is no such column.
        """
        if name not in self.columns:
            near = get_close_matches(name, self.columns, n=1)
            raise DataError(
                f"{self.source} has no column {name!r}. It has: {', '.join(map(repr, self.columns))}."
                + (f" Did you mean {near[0]!r}?" if near else "")
                + (f" Name the column with {option}." if option else "")
            )
        return self.columns[name]


def as_table(value: Any, source: str) -> Table:
    """A table from a `datasets.Dataset`, a dict of columns, or a list of dicts.

    Raises:
        DataError: none of these, or columns of different length.
    """
    if isinstance(value, Table):
        return value
    if hasattr(value, "features") and hasattr(value, "column_names"):
        columns = _dataset_columns(value)
    elif isinstance(value, Mapping):
        columns = {str(name): list(items) for name, items in value.items()}
    elif isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value):
        names = list(dict.fromkeys(str(name) for row in value for name in row))
        columns = {name: [row.get(name) for row in value] for name in names}
    else:
        raise DataError(
            f"{source} is a {type(value).__name__}; expected a path, a datasets.Dataset, a dict of columns or a "
            "list of dicts"
        )
    lengths = {name: len(items) for name, items in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{source} has columns of different length: {lengths}")
    num_rows = next(iter(lengths.values()), 0)
    return Table(columns=columns, line_numbers=np.arange(1, num_rows + 1), source=source)


def _dataset_columns(dataset: Any) -> dict[str, list[Any]]:
    """Columns of a `datasets.Dataset`; class labels become their names."""
    columns = {}
    for name in dataset.column_names:
        values = list(dataset[name])
        names = getattr(dataset.features[name], "names", None)
        # -1 is how the library marks a row without a label.
        columns[name] = [names[v] if v is not None and v >= 0 else None for v in values] if names else values
    return columns
