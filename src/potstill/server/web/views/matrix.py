"""The runs of an eval side by side: rows times models, and the paired differences between models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from potstill.report.figures import points, probability, whole
from potstill.report.markup import escape, tag
from potstill.report.words import Words
from potstill.server.web import pieces

SHOWN = ("all", "failures", "different")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What one model said on one row.

    Attributes:
        passed: all criteria; None where it wasn't judged.
        output: of the model.
        reasons: of the criteria that failed.
    """

    passed: bool | None
    output: str = ""
    reasons: Sequence[str] = ()


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixRow:
    """One row of data, a cell for each model; None where it was not run."""

    prompt: str
    reference: str
    cells: Sequence[Cell | None]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """How much better the first model did on the rows that both were run on.

    Attributes:
        difference: of the pass rates, first minus second.
        low: end of the 95 % interval from the paired bootstrap.
        high: the other end.
        only_first: rows that only the first passed.
        only_second: rows that only the second passed.
        p: of McNemar's exact test.
    """

    first: str
    second: str
    num_rows: int
    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """What is shown.

    Attributes:
        models: heads of the columns.
        rows: of this page.
        counts: rows by filter.
        shown: the filter that is on.
        page: from 1.
        num_pages: of the filter.
        paired: comparisons, over all rows.
    """

    models: Sequence[str]
    rows: Sequence[MatrixRow]
    counts: dict[str, int]
    shown: str = "all"
    page: int = 1
    num_pages: int = 1
    paired: Sequence[Paired] = ()


def matrix(words: Words, address: str, found: Matrix) -> str:
    """The comparisons and the rows."""
    options = [(f"{address}?show={key}#rows", words(f"show_{key}", count=whole(found.counts[key]))) for key in SHOWN]
    current = f"{address}?show={found.shown}#rows"
    parts = [pieces.tabs(words("rows"), options, current)]
    if found.rows:
        header = [words("row"), words("reference"), *found.models]
        rows = [[pieces.clipped(row.prompt), pieces.clipped(row.reference), *_cells(words, row)] for row in found.rows]
        parts.append(pieces.wide_table(words("matrix_caption"), header, rows, class_="matrix"))
    else:
        parts.append(tag("p", escape(words("matrix_empty")), class_="quiet"))

    def link(page: int) -> str:
        return f"{address}?show={found.shown}&page={page}#rows" if 1 <= page <= found.num_pages else ""

    parts.append(pieces.pager(words, older=link(found.page + 1), newer=link(found.page - 1)))
    shown = tag("section", tag("h2", escape(words("side_by_side"))), *parts, class_="card", id="rows")
    return _paired(words, found.paired) + shown


def _cells(words: Words, row: MatrixRow) -> list[str]:
    shown = []
    for cell in row.cells:
        if cell is None:
            shown.append(tag("span", escape(words("not_run")), class_="quiet"))
            continue
        key, look = {True: ("passed", "good"), False: ("failed", "bad"), None: ("errored", "bad")}[cell.passed]
        sign = "✓" if cell.passed else "✗"
        mark = tag("span", tag("span", sign, aria_hidden="true"), " ", escape(words(key)), class_=f"mark {look}")
        reasons = "".join(tag("p", escape(reason), class_="small quiet") for reason in cell.reasons)
        shown.append(mark + pieces.clipped(cell.output) + reasons)
    return shown


def _paired(words: Words, paired: Sequence[Paired]) -> str:
    if not paired:
        return ""
    header = [words(key) for key in ("compared", "rows", "difference", "interval", "only_one", "mcnemar", "says")]
    rows = []
    for each in paired:
        says = "better" if each.low > 0 else "worse" if each.high < 0 else "same"
        rows.append(
            [
                f"{pieces.code(each.first)} - {pieces.code(each.second)}",
                pieces.number(whole(each.num_rows)),
                pieces.number(points(each.difference)),
                pieces.number(f"[{100 * each.low:+.1f}, {100 * each.high:+.1f}]"),
                pieces.number(f"{each.only_first} : {each.only_second}"),
                pieces.number(probability(each.p).removeprefix("= ")),
                pieces.badge(words(f"says_{says}"), {"better": "good", "worse": "bad", "same": ""}[says]),
            ]
        )
    return pieces.card(words("paired"), pieces.wide_table(words("paired_caption"), header, rows))
