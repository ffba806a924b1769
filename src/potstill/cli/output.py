"""Results on stdout: text for people, one line of JSON for programs."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Result:
    """What a command found.

    Attributes:
        data: JSON values; `schema_version` is added where it is missing.
        text: the same for people.
    """

    data: dict[str, Any]
    text: str


def show(result: Result, *, as_json: bool) -> None:
    """Prints a result; with `as_json` its last line is the JSON."""
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, **result.data}, ensure_ascii=False, allow_nan=False))
    elif result.text:
        print(clean(result.text))
    sys.stdout.flush()


def clean(text: str) -> str:
    """Without control and direction characters, which could rewrite what stands on a terminal."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf") else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def label_text(label: Any) -> str:
    """A predicted label: a class as it is, several as JSON."""
    return label if isinstance(label, str) else json.dumps(label, ensure_ascii=False)


def width(text: str) -> int:
    """Columns on a terminal; Hangul takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns in line: the first to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(width(line[i]) for line in lines) for i in range(len(header))]

    def line_of(cells: Sequence[str]) -> str:
        padded = []
        for i, cell in enumerate(cells):
            space = " " * (widths[i] - width(cell))
            padded.append(cell + space if i == 0 else space + cell)
        return "  ".join(padded).rstrip()

    return "\n".join([line_of(lines[0]), "  ".join("-" * w for w in widths), *map(line_of, lines[1:])])


def size(num_bytes: float | None) -> str:
    """A size in the unit that reads best; 1 MB is 1,000,000 bytes."""
    if num_bytes is None:
        return "-"
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.2f} {unit}"
    return f"{num_bytes:.0f} B"
