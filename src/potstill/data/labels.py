"""From cells to label columns: which classes there are, and what each row says. N rows, L label columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from potstill.data.options import DataOptions
from potstill.data.table import Table
from potstill.errors import DataError
from potstill.types import OTHER, OUT_OF_SCOPE, UNLABELLED, Field, IntArray, LabelSchema

Value = str | tuple[str, ...] | None
"""One field of one row: a class, several classes, or nothing known."""
MAX_CLASSES = 10_000


def field_values(table: Table, options: DataOptions) -> dict[str, list[Value]]:
    """Field name -> the value of each row. A column of JSON objects gives one field a key."""
    fields: dict[str, list[Value]] = {}
    for name in options.label:
        cells = [_parsed(cell) for cell in table.column(name, "--label")]
        if any(isinstance(cell, dict) for cell in cells):
            fields.update(_object_fields(cells, table, name))
        else:
            fields[name] = [_value(cell, options.separator) for cell in cells]
    return fields


def infer_schema(fields: Mapping[str, Sequence[Value]], options: DataOptions, source: str) -> LabelSchema:
    """The classes that stand in labelled training rows, sorted by name.

    Raises:
        DataError: fewer than two classes, or so many that this is no classification.
    """
    found = []
    for name, values in fields.items():
        multi = bool(options.separator) or any(isinstance(value, tuple) for value in values)
        counts = Counter(_names(values))
        counts.pop(options.out_of_scope, None)
        if len(counts) > MAX_CLASSES:
            raise DataError(
                f"{source}: column {name!r} has {len(counts)} different labels, so it is hardly a label. Name the "
                "right column with --label."
            )
        if len(counts) < (1 if multi else 2):
            raise DataError(
                f"{source}: column {name!r} holds {'only ' + repr(next(iter(counts))) if counts else 'no label'}. A "
                "classifier needs at least two classes, else there is nothing to tell apart. Check the column."
            )
        found.append(Field(name=name, classes=tuple(sorted(counts)), multi=multi))
    return LabelSchema(tuple(found))


def encode_labels(
    fields: Mapping[str, Sequence[Value]], schema: LabelSchema, out_of_scope: str, table: Table
) -> IntArray:
    """Label columns, int32, N x L.

    Raises:
        DataError: a label that the schema doesn't know; the message names lines.
    """
    labels_NL = np.full((len(table), schema.num_columns), UNLABELLED, np.int32)
    for field, _, column in schema.parts():
        index = {name: k for k, name in enumerate(field.classes)}
        strange: dict[str, list[int]] = {}
        for row, value in enumerate(fields.get(field.name, ())):
            if value is None:
                continue
            names = (value,) if isinstance(value, str) else value
            if out_of_scope and out_of_scope in names:
                labels_NL[row, column] = OUT_OF_SCOPE
                continue
            unknown = [name for name in names if name not in index]
            for name in unknown:
                strange.setdefault(name, []).append(int(table.line_numbers[row]))
            if unknown:
                continue
            if field.multi:
                labels_NL[row, column] = 0
                labels_NL[row, [column.start + index[name] for name in names]] = 1
            else:
                labels_NL[row, column.start] = index[names[0]]
        if strange:
            raise DataError(_strange(table, field, strange))
    return labels_NL


def narrow(schema: LabelSchema, options: DataOptions) -> LabelSchema:
    """The schema of a service that keeps `options.classes` of the first field.

    Raises:
        DataError: a class that the data doesn't have.
    """
    if not options.classes:
        return schema
    field = schema.fields[0]
    if len(schema.fields) > 1 or field.multi:
        raise DataError(
            "data.classes keeps some classes of one single-answer field; this data has another form of label"
        )
    unknown = [name for name in options.classes if name not in field.classes]
    if unknown:
        raise DataError(
            f"data.classes names {unknown}, which no training row has. The classes are: {', '.join(field.classes[:50])}"
        )
    kept = tuple(name for name in field.classes if name in set(options.classes))
    if options.other and OTHER in kept:
        raise DataError(f"the data has a class named {OTHER!r} itself, so data.other can't add one; rename it")
    return LabelSchema((Field(name=field.name, classes=(*kept, OTHER) if options.other else kept),))


def narrow_labels(labels_NL: IntArray, schema: LabelSchema, service: LabelSchema) -> IntArray:
    """Labels of the service: classes that it doesn't keep become `other`, or `UNLABELLED` without one."""
    if schema == service:
        return labels_NL
    target = service.fields[0].classes
    rest = len(target) - 1 if service.sums_rest_of(schema) else UNLABELLED
    table = np.array([target.index(name) if name in target else rest for name in schema.fields[0].classes], np.int32)
    return np.where(labels_NL >= 0, table[np.maximum(labels_NL, 0)], labels_NL)


def _strange(table: Table, field: Field, strange: Mapping[str, Sequence[int]]) -> str:
    shown = "; ".join(
        f"{name!r} on lines {', '.join(map(str, lines[:3]))}" for name, lines in list(strange.items())[:5]
    )
    return (
        f"{table.source}: column {field.name!r} has {len(strange)} labels that no training row has: {shown}. A student "
        "can't learn what it never sees, so these rows would only count as errors. Correct the labels, add training "
        "rows, or name one of them as out of scope with data.out_of_scope."
    )


def _parsed(cell: Any) -> Any:
    """A cell that is a JSON object or list as text is taken as such."""
    if isinstance(cell, str) and cell[:1] in "{[" and cell[-1:] in "}]" and cell:
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _value(cell: Any, separator: str) -> Value:
    if cell is None or cell == "" or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if isinstance(cell, list | tuple | np.ndarray):
        return tuple(sorted({_name(item) for item in cell}))
    text = _name(cell)
    if not separator:
        return text or None
    return tuple(sorted({part.strip() for part in text.split(separator)} - {""}))


def _name(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        # Parquet and JSON turn a column of whole numbers with gaps into floats.
        return str(int(value))
    return str(value).strip()


def _object_fields(cells: Sequence[Any], table: Table, name: str) -> dict[str, list[Value]]:
    wrong = [int(table.line_numbers[i]) for i, cell in enumerate(cells) if cell and not isinstance(cell, dict)]
    if wrong:
        shown = ", ".join(map(str, wrong[:5]))
        raise DataError(
            f"{table.source}: column {name!r} holds JSON objects, but not on lines {shown}. Every row with a "
            "label needs one."
        )
    keys = list(dict.fromkeys(key for cell in cells if cell for key in cell))
    return {key: [_value(cell.get(key), "") if cell else None for cell in cells] for key in keys}


def _names(values: Iterable[Value]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif value is not None:
            yield from value
