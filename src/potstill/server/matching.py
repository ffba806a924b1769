"""Which stored completions a filter finds, in the order of their places.

`seq` is a place in time, so a range of dates is a range of `seq`; every filter but `text` is a range of an index.
A statement depends on the form of a filter and not on its values, and is built once for each form: building one takes
longer than running it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.sql.selectable import FromClause

from potstill.server.database.tables import completion_metadata, completions
from potstill.server.ids import first_seq_of

Shape = tuple[int, bool, bool, bool, str]
"""Of a filter: pairs of metadata, whether it names a model, a first and a last date, and where it asks for a text the
database's dialect, else nothing."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which stored completions; what is left out doesn't limit.

    Attributes:
        created_after: later than this Unix time.
        created_before: earlier than this Unix time.
        text: stands exactly so in the messages or the answer; every row that the other filters leave is read for it.
    """

    model: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_after: int | None = None
    created_before: int | None = None
    text: str | None = None


def select_matching(
    connection: Connection, project: str, wanted: Filter, *columns: ColumnElement[Any]
) -> tuple[Select[Any], ColumnElement[int]] | None:
    """A query for what matches, and the column to page by; None where a value occurs nowhere."""
    shape, values = _shape(connection, wanted), _values(project, wanted, connection.dialect.name)
    if not _values_occur(connection, shape, values):
        return None
    query, seq = _matching(shape, columns)
    return query.params(values), seq


def find_page(
    connection: Connection,
    project: str,
    wanted: Filter,
    columns: tuple[str, ...],
    *,
    after: int | None = None,
    ascending: bool,
    limit: int,
) -> list[Row[Any]]:
    """The rows of a page.

    Args:
        connection: to ask.
        project: whose.
        wanted: which.
        columns: of the table.
        after: place of the row before the page.
        ascending: oldest first.
        limit: most rows.
    """
    shape, values = _shape(connection, wanted), _values(project, wanted, connection.dialect.name)
    if not _values_occur(connection, shape, values):
        return []
    query = _page(shape, columns, ascending, after is not None)
    return list(connection.execute(query, {**values, "page_after": after, "page_limit": limit}).all())


def _values_occur(connection: Connection, shape: Shape, values: Mapping[str, Any]) -> bool:
    """Looks each value up, so that a rare one isn't searched among all rows of a common one."""
    if shape[0] == 0 and not shape[1]:
        return True
    return bool(connection.scalar(_occurrence(shape[0], shape[1]), values))


def _shape(connection: Connection, wanted: Filter) -> Shape:
    return (
        len(wanted.metadata),
        wanted.model is not None,
        wanted.created_after is not None,
        wanted.created_before is not None,
        connection.dialect.name if wanted.text else "",
    )


def _values(project: str, wanted: Filter, dialect: str) -> dict[str, Any]:
    """Of all parameters that a statement may have."""
    found: dict[str, Any] = {"project": project, "model": wanted.model}
    for i, (key, value) in enumerate(sorted(wanted.metadata.items())):
        found |= {f"key_{i}": key, f"value_{i}": value}
    if wanted.created_after is not None:
        found["first"] = first_seq_of(wanted.created_after + 1)
    if wanted.created_before is not None:
        found["end"] = first_seq_of(wanted.created_before)
    if wanted.text:
        found["text"] = _as_searched(wanted.text, dialect)
    return found


def _as_searched(text: str, dialect: str) -> bytes:
    """The bytes that JSON has for a text; a pattern where the database compares with one."""
    found = msgspec.json.encode(text)[1:-1]
    if dialect == "sqlite":
        return found
    for mark in (b"\\", b"%", b"_"):
        found = found.replace(mark, b"\\" + mark)
    return b"%" + found + b"%"


@lru_cache(256)
def _page(shape: Shape, columns: tuple[str, ...], ascending: bool, has_start: bool) -> Select[Any]:
    query, seq = _matching(shape, tuple(completions.c[name] for name in columns))
    if has_start:
        start = bindparam("page_after", type_=seq.type)
        query = query.where(seq > start if ascending else seq < start)
    return query.order_by(seq if ascending else seq.desc()).limit(bindparam("page_limit"))


@lru_cache(64)
def _occurrence(num_pairs: int, has_model: bool) -> Select[Any]:
    questions = [exists().where(*_is_pair(completion_metadata, i)) for i in range(num_pairs)]
    if has_model:
        questions.append(
            exists().where(completions.c.project == bindparam("project"), completions.c.model == bindparam("model"))
        )
    return select(and_(*questions))


def _matching(shape: Shape, columns: tuple[ColumnElement[Any], ...]) -> tuple[Select[Any], ColumnElement[int]]:
    num_pairs, has_model, has_first, has_end, dialect = shape
    source: FromClause = completions
    seq: ColumnElement[int] = completions.c.seq
    conditions: list[ColumnElement[bool]] = [completions.c.project == bindparam("project")]
    for i in range(num_pairs):
        pair = completion_metadata.alias(f"pair_{i}")
        source = source.join(pair, pair.c.seq == completions.c.seq)
        conditions += _is_pair(pair, i)
        # The first pair leads: its index holds the places in their order.
        seq = pair.c.seq if i == 0 else seq
    if has_model:
        conditions.append(completions.c.model == bindparam("model"))
    if has_first:
        conditions.append(seq >= bindparam("first", type_=seq.type))
    if has_end:
        conditions.append(seq < bindparam("end", type_=seq.type))
    if dialect:
        conditions.append(_holds_text(dialect))
    return select(*columns).select_from(source).where(*conditions), seq


def _is_pair(table: FromClause, i: int) -> list[ColumnElement[bool]]:
    wanted = {"project": "project", "key": f"key_{i}", "value": f"value_{i}"}
    return [table.c[column] == bindparam(name) for column, name in wanted.items()]


def _holds_text(dialect: str) -> ColumnElement[bool]:
    """Whether a text stands in a row."""
    text = bindparam("text", type_=LargeBinary)
    columns = (completions.c.body, func.coalesce(completions.c.request, literal(b"", LargeBinary)))
    if dialect == "sqlite":
        found = [func.instr(column, text) > 0 for column in columns]
    else:
        found = [column.bool_op("LIKE")(text) for column in columns]
    return found[0] | found[1]
