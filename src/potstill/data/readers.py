"""Reads CSV, TSV, JSONL and Parquet into a table, naming the lines that can't be read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np

from potstill.data.table import Table
from potstill.errors import DataError, MissingExtraError
from potstill.types import Finding

Encoding = Literal["auto", "utf-8", "cp949"]
KINDS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".json": "jsonl"}
LONGEST_CELL = 16 * 1024**2


def read_table(path: Path, *, encoding: Encoding = "auto") -> Table:
    """Reads a file by its suffix.

    Raises:
        DataError: no such file, an unknown suffix or encoding, or lines that can't be read.
        MissingExtraError: Parquet without pyarrow.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}. Give a CSV, TSV, JSONL or Parquet file.")
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path} ends in {path.suffix!r}; files are read by their suffix: {', '.join(KINDS)}")
    if kind == "parquet":
        return _read_parquet(path)
    found = _encoding_of(path) if encoding == "auto" else "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        with path.open(encoding=found, newline="") as file:
            table = _read_jsonl(file, path) if kind == "jsonl" else _read_csv(file, path, kind)
    except UnicodeDecodeError as error:
        raise _undecodable(path, encoding) from error
    if found == "cp949":
        said = (Finding("read_as_cp949", {"source": str(path)}),)
        return Table(columns=table.columns, line_numbers=table.line_numbers, source=table.source, findings=said)
    return table


def _encoding_of(path: Path) -> str:
    """UTF-8 if all of it is, else CP949 if all of it is."""
    for encoding in ("utf-8-sig", "cp949"):
        try:
            with path.open(encoding=encoding, newline="") as file:
                while file.read(1 << 20):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    raise _undecodable(path, "auto")


def _undecodable(path: Path, encoding: str) -> DataError:
    tried = "UTF-8 and CP949" if encoding == "auto" else encoding
    bad = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                bad.append(number)
                if len(bad) == 5:
                    break
    return DataError(
        f"{path} can't be read as {tried}; lines {', '.join(map(str, bad))} are not UTF-8. Save the file as UTF-8 "
        "and run again."
    )


def _read_csv(file: TextIO, path: Path, kind: str) -> Table:
    csv.field_size_limit(LONGEST_CELL)
    start = file.read(64 * 1024)
    file.seek(0)
    delimiter = "\t" if kind == "tsv" else _delimiter(start)
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    rows = _csv_rows(reader, path)
    try:
        _, header = next(rows)
    except StopIteration:
        raise DataError(f"{path} is empty. Its first line must name the columns, for example: text,label") from None
    header = [name.strip() for name in header]
    if len(set(header)) != len(header) or not all(header):
        raise DataError(f"{path}: the first line must name every column once; it reads {header}")
    columns: list[list[Any]] = [[] for _ in header]
    lines: list[int] = []
    wrong: list[tuple[int, int]] = []
    for line, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            wrong.append((line, len(row)))
            continue
        lines.append(line)
        for values, cell in zip(columns, row, strict=True):
            values.append(cell)
    if wrong:
        _complain(path, header, wrong, lines)
    return Table(
        columns=dict(zip(header, columns, strict=True)), line_numbers=np.array(lines, np.int64), source=str(path)
    )


def _csv_rows(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields each row with the line that it starts on."""
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise DataError(
                f"{path}: the row that starts on line {line} has a quote that is never closed. The file was cut "
                "off, or a "
                'quote inside a cell is not doubled (""). Write the file again.'
            ) from error
        raise DataError(f"{path}, line {line}: {error}. Correct that line and run again.") from error


def _delimiter(start: str) -> str:
    """The separator that the header line holds most of."""
    first = start.splitlines()[0] if start else ""
    return max(",;\t", key=first.count)


def _complain(path: Path, header: Sequence[str], wrong: Sequence[tuple[int, int]], lines: Sequence[int]) -> None:
    line, cells = wrong[0]
    if len(wrong) == 1 and cells < len(header) and (not lines or line > lines[-1]):
        raise DataError(
            f"{path}: the last line ({line}) is cut off: it has {cells} of {len(header)} cells. The file may be "
            "incomplete: write or copy it again, or delete that line."
        )
    shown = ", ".join(f"line {line} ({cells} cells)" for line, cells in wrong[:5])
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    raise DataError(
        f"{path}: {len(wrong)} rows have not {len(header)} cells as the first line has: {shown}{more}. A cell "
        "that holds the separator must stand in quotes."
    )


def _read_jsonl(file: TextIO, path: Path) -> Table:
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    bad: list[int] = []
    last = 0
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        last = number
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            bad.append(number)
            continue
        if not isinstance(row, dict):
            bad.append(number)
            continue
        for name in row.keys() - columns.keys():
            columns[str(name)] = [None] * len(lines)
        lines.append(number)
        for name, values in columns.items():
            values.append(row.get(name))
    if bad == [last] and lines:
        raise DataError(
            f"{path}: the last line ({last}) is cut off or no JSON object. The file may be incomplete: write or "
            "copy it again, or delete that line."
        )
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise DataError(f"{path}: lines {shown} are no JSON objects. Each line holds one, such as {_EXAMPLE}")
    return Table(columns=columns, line_numbers=np.array(lines, np.int64), source=str(path))


_EXAMPLE = '{"text": "Where is my card?", "label": "card_arrival"}'


def _read_parquet(path: Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is no readable Parquet file: {error}. Write or copy it again.") from error
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    return Table(columns=columns, line_numbers=np.arange(1, table.num_rows + 1), source=str(path))
