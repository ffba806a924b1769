"""The inputs of a table: texts as they are, pictures and sounds decoded, what can't be used left out and counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.media import decode_pictures, decode_sounds
from potstill.data.options import DataOptions
from potstill.data.table import Table
from potstill.errors import DataError
from potstill.types import Finding, Input, IntArray


def read_inputs(table: Table, options: DataOptions, findings: list[Finding]) -> tuple[list[Input], IntArray]:
    """The inputs of all rows, and the positions of those that can be used.

    Raises:
        DataError: none can be used; the message says why the first can't.
    """
    cells = table.column(options.column, f"--{options.modality}")
    if options.modality == "text":
        return _texts(cells, table, options, findings)
    folder = base_folder(table)
    if options.modality == "image":
        inputs, reasons = decode_pictures(cells, folder)
    else:
        inputs, reasons = decode_sounds(cells, folder, options.sample_rate)
    if reasons:
        _quarantine(table, options, reasons, findings)
    usable = np.array([i for i in range(len(inputs)) if i not in reasons], np.int64)
    # Rows that can't be used are taken out by position; until then a blank holds their place.
    return [np.zeros(1, np.uint8) if value is None else value for value in inputs], usable


def base_folder(table: Table) -> Path:
    """Where relative paths of a table start: beside the file that it was read from."""
    source = Path(table.source)
    return source.parent if source.is_file() else Path()


def _texts(
    cells: Sequence[Any], table: Table, options: DataOptions, findings: list[Finding]
) -> tuple[list[Input], IntArray]:
    if len(cells) and not any(isinstance(value, str) for value in cells):
        raise DataError(
            f"{table.source}: column {options.column!r} holds no text{_instead(cells)}. Name the column with --text."
        )
    usable = [i for i, value in enumerate(cells) if _is_text(value)]
    if len(usable) < len(cells):
        gone = sorted(set(range(len(cells))) - set(usable))
        values = {"source": table.source, "count": len(gone), "lines": _lines(table, gone)}
        findings.append(Finding("empty_inputs", values))
    if not usable and len(cells):
        raise DataError(f"{table.source}: column {options.column!r} is empty in every row")
    return [_plain(value) for value in cells], np.array(usable, np.int64)


def _instead(cells: Sequence[Any]) -> str:
    first = next((cell for cell in cells if cell is not None), None)
    if isinstance(first, bytes | Mapping | np.ndarray):
        return ", but bytes or arrays: for pictures use --image, for sounds --audio"
    return ""


def _quarantine(table: Table, options: DataOptions, reasons: Mapping[int, str], findings: list[Finding]) -> None:
    first = min(reasons)
    if len(reasons) == len(table):
        raise DataError(
            f"{table.source}: none of the {len(table)} rows has a usable {options.modality} in column "
            f"{options.column!r}. The first: {reasons[first]}"
        )
    kinds = Counter(reason for reason in reasons.values())
    shown = "; ".join(f"{reason} ({count})" for reason, count in kinds.most_common(5))
    values = {
        "source": table.source,
        "count": len(reasons),
        "lines": _lines(table, sorted(reasons), options.column),
        "reasons": shown,
    }
    findings.append(Finding("broken_inputs", values))


def _lines(table: Table, positions: Sequence[int], column: str = "") -> str:
    """Line numbers; where the rows are files, their names."""
    cells = table.columns.get(column, ())
    names = [
        Path(cells[i]).name if column and isinstance(cells[i], str) else str(table.line_numbers[i])
        for i in positions[:10]
    ]
    return ", ".join(names) + (" ..." if len(positions) > 10 else "")


def _is_text(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int | float) and not math.isnan(value)


def _plain(value: Any) -> Any:
    """Numbers in a text column are texts."""
    if isinstance(value, str):
        # Lone surrogates (from broken JSON escapes) can't be written as UTF-8.
        return value.encode("utf-8", "replace").decode("utf-8")
    return str(value)
