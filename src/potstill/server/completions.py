"""Stored chat completions: what is kept of one, and how they are found. Routes, datasets and evals use these functions.

`seq` is a place in time, so a range of dates is a range of `seq`; every filter but `text` is a range of an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import msgspec
from sqlalchemy import ColumnElement, Connection, LargeBinary, Row, Select, and_, delete, exists, func, literal, select
from sqlalchemy.sql.selectable import FromClause

from potstill.server.auth import Key
from potstill.server.blobs import Blobs
from potstill.server.database.database import Rows
from potstill.server.database.tables import completion_metadata, completions
from potstill.server.errors import not_found
from potstill.server.ids import SEQ_PER_S, first_seq_of

MAX_REQUEST_BYTES = 64 << 10
"""A larger request (pictures, mostly) lies in the content-addressed store."""
SHOWN = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "tools", "tool_choice")
"""Options of the request that a stored completion shows again."""
DELIVERY = ("store", "metadata", "stream", "stream_options")


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


def encode_request(request: Mapping[str, Any]) -> bytes:
    """What is kept of a request: what was asked, without how it was to be delivered and kept."""
    return msgspec.json.encode({name: value for name, value in request.items() if name not in DELIVERY})


def rows_of(
    key: Key,
    seq: int,
    response: Mapping[str, Any],
    request: Mapping[str, Any],
    *,
    asked: bytes | str,
    teacher: str,
) -> Rows:
    """The rows to append for one completion.

    Args:
        key: whose project it belongs to, and how long it is kept.
        seq: its place.
        response: the answer as the client got it, with its metadata.
        request: the body as the client sent it.
        asked: `encode_request` of it, or the digest of that in the content-addressed store.
        teacher: who answered.
    """
    row = {
        "seq": seq,
        "project": key.project,
        "id": response["id"],
        "model": response["model"],
        "teacher": teacher,
        "expires_at": None if key.retention_s is None else seq // SEQ_PER_S + key.retention_s,
        "body": msgspec.json.encode(shown(response, request)),
        "request": asked if isinstance(asked, bytes) else None,
        "request_blob": asked if isinstance(asked, str) else None,
    }
    return {
        completions: [row],
        completion_metadata: metadata_rows(key.project, seq, response.get("metadata") or {}),
    }


def shown(response: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """A stored completion as the API shows it: the answer, and options of the request beside it."""
    options = {name: request.get(name) for name in SHOWN}
    return {
        **response,
        **options,
        "input_user": request.get("user"),
        "response_format": request.get("response_format"),
        "metadata": response.get("metadata") or {},
    }


def metadata_rows(project: str, seq: int, metadata: Mapping[str, str]) -> list[dict[str, Any]]:
    """One row a pair."""
    return [{"project": project, "key": key, "value": value, "seq": seq} for key, value in metadata.items()]


def find_completion(connection: Connection, project: str, id: str, param: str | None = "id") -> Row[Any]:
    """The row of one.

    Raises:
        ApiError: 404: unknown, not stored, or another project's.
    """
    query = select(completions).where(completions.c.project == project, completions.c.id == id)
    row = connection.execute(query).first()
    if row is None:
        raise not_found("chat completion", id, param)
    return row


def select_matching(
    connection: Connection, project: str, wanted: Filter, *columns: ColumnElement[Any]
) -> tuple[Select[Any], ColumnElement[int]] | None:
    """A query for what matches, and the column to page by; None where a value occurs nowhere."""
    if not _values_occur(connection, project, wanted):
        return None
    source: FromClause = completions
    seq: ColumnElement[int] = completions.c.seq
    conditions = [completions.c.project == project]
    for i, (key, value) in enumerate(sorted(wanted.metadata.items())):
        pair = completion_metadata.alias(f"pair_{i}")
        source = source.join(pair, pair.c.seq == completions.c.seq)
        conditions.append(and_(pair.c.project == project, pair.c.key == key, pair.c.value == value))
        # The first pair leads: its index holds the places in their order.
        seq = pair.c.seq if i == 0 else seq
    if wanted.model is not None:
        conditions.append(completions.c.model == wanted.model)
    if wanted.created_after is not None:
        conditions.append(seq >= first_seq_of(wanted.created_after + 1))
    if wanted.created_before is not None:
        conditions.append(seq < first_seq_of(wanted.created_before))
    if wanted.text:
        conditions.append(_holds(connection.dialect.name, wanted.text))
    return select(*columns).select_from(source).where(*conditions), seq


def remove(connection: Connection, row: Row[Any]) -> None:
    """Deletes one with its metadata."""
    connection.execute(delete(completion_metadata).where(completion_metadata.c.seq == row.seq))
    connection.execute(delete(completions).where(completions.c.seq == row.seq))


def request_of(row: Row[Any], blobs: Blobs) -> dict[str, Any]:
    """What was asked."""
    content = blobs.read(row.request_blob) if row.request_blob else row.request
    found: dict[str, Any] = msgspec.json.decode(content)
    return found


def _values_occur(connection: Connection, project: str, wanted: Filter) -> bool:
    """Looks each value up, so that a rare one isn't searched among all rows of a common one."""
    questions = [
        exists().where(
            completion_metadata.c.project == project,
            completion_metadata.c.key == key,
            completion_metadata.c.value == value,
        )
        for key, value in wanted.metadata.items()
    ]
    if wanted.model is not None:
        questions.append(exists().where(completions.c.project == project, completions.c.model == wanted.model))
    return not questions or bool(connection.scalar(select(and_(*questions))))


def _holds(dialect: str, text: str) -> ColumnElement[bool]:
    """Whether a text stands in a row, compared as the bytes that JSON has for it."""
    wanted = msgspec.json.encode(text)[1:-1]
    columns = (completions.c.body, func.coalesce(completions.c.request, literal(b"", LargeBinary)))
    if dialect == "sqlite":
        found = [func.instr(column, literal(wanted, LargeBinary)) > 0 for column in columns]
    else:
        for mark in (b"\\", b"%", b"_"):
            wanted = wanted.replace(mark, b"\\" + mark)
        found = [column.bool_op("LIKE")(literal(b"%" + wanted + b"%", LargeBinary)) for column in columns]
    return found[0] | found[1]
