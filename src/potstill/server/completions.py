"""Stored chat completions: what is kept of one, and how it is found by its name; `matching.py` finds many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, select

from potstill.server.auth import Key
from potstill.server.blobs import Blobs
from potstill.server.database.database import Rows
from potstill.server.database.tables import completion_metadata, completions
from potstill.server.errors import not_found
from potstill.server.ids import SEQ_PER_S

MAX_REQUEST_BYTES = 64 << 10
"""A larger request (pictures, mostly) lies in the content-addressed store."""
SHOWN = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "tools", "tool_choice")
"""Options of the request that a stored completion shows again."""
DELIVERY = ("store", "metadata", "stream", "stream_options")


_ONE = select(completions).where(completions.c.project == bindparam("project"), completions.c.id == bindparam("id"))


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
    kept_from: int | None = None,
) -> Rows:
    """The rows to append for one completion.

    Args:
        key: whose project it belongs to, and how long it is kept.
        seq: its place.
        response: the answer as the client got it, with its metadata.
        request: the body as the client sent it.
        asked: `encode_request` of it, or the digest of that in the content-addressed store.
        teacher: who answered.
        kept_from: Unix time from which on the key's retention counts; None: that of its place.
    """
    start = seq // SEQ_PER_S if kept_from is None else kept_from
    row = {
        "seq": seq,
        "project": key.project,
        "id": response["id"],
        "model": response["model"],
        "teacher": teacher,
        "expires_at": None if key.retention_s is None else start + key.retention_s,
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
    row = connection.execute(_ONE, {"project": project, "id": id}).first()
    if row is None:
        raise not_found("chat completion", id, param)
    return row


def remove(connection: Connection, row: Row[Any]) -> None:
    """Deletes one with its metadata."""
    connection.execute(delete(completion_metadata).where(completion_metadata.c.seq == row.seq))
    connection.execute(delete(completions).where(completions.c.seq == row.seq))


def request_of(row: Row[Any], blobs: Blobs) -> dict[str, Any]:
    """What was asked."""
    content = blobs.read(row.request_blob) if row.request_blob else row.request
    found: dict[str, Any] = msgspec.json.decode(content)
    return found
