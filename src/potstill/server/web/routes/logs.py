"""Stored completions: a page of the filter, and one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from potstill.server.completions import find_completion, remove, request_of
from potstill.server.database.tables import completions
from potstill.server.errors import ApiError
from potstill.server.files import drop_content
from potstill.server.ids import SEQ_PER_S
from potstill.server.matching import Filter, find_page
from potstill.server.web.filtering import to_filter, typed_filter
from potstill.server.web.views.completion import Completion, completion_page
from potstill.server.web.views.logs import LogList, LogRow, logs_page
from potstill.server.web.visit import Visit, go_to, look, send

NUM_ROWS = 25
NUM_MODELS = 20
MAX_SHORT = 300


async def show_all(visit: Visit) -> str:
    """The table."""
    typed = typed_filter(visit)
    address = str(visit.call.request.base_url) + "v1"
    try:
        wanted = to_filter(visit.viewer.words, typed)
    except ApiError as refusal:
        return logs_page(visit.viewer, LogList(filter=typed, rows=(), refused=str(refusal), address=address))
    older, newer, project = visit.asked("older"), visit.asked("newer"), visit.call.project

    def read(connection: Connection) -> LogList:
        rows, has_older, has_newer = _page(connection, project, wanted, older, newer)
        return LogList(
            filter=typed,
            rows=[_short(row, visit.viewer.words("prompt_large")) for row in rows],
            models=_models(connection, project),
            older=rows[-1].id if rows and has_older else "",
            newer=rows[0].id if rows and has_newer else "",
            address=address,
        )

    return logs_page(visit.viewer, await visit.call.services.database.read(read))


async def show_one(visit: Visit) -> str:
    """One in full."""
    id, services = visit.call.path("id"), visit.call.services
    row = await services.database.read(lambda connection: find_completion(connection, visit.call.project, id))
    request = await run_in_threadpool(request_of, row, services.blobs)
    return completion_page(visit.viewer, _whole(row, request))


async def delete(visit: Visit) -> Response:
    """Deletes one."""
    id, project = visit.call.path("id"), visit.call.project

    def write(connection: Connection) -> str | None:
        row = find_completion(connection, project, id)
        remove(connection, row)
        digest: str | None = row.request_blob
        return digest

    await drop_content(visit.call.services, await visit.call.services.database.write(write))
    return go_to("/logs")


def _page(
    connection: Connection, project: str, wanted: Filter, older: str, newer: str
) -> tuple[list[Row[Any]], bool, bool]:
    """Rows, the newest first, and whether there are older and newer ones."""
    cursor = newer or older
    after = find_completion(connection, project, cursor).seq if cursor else None
    columns = ("seq", "id", "model", "body", "request", "request_blob")
    found = find_page(connection, project, wanted, columns, after=after, ascending=bool(newer), limit=NUM_ROWS + 1)
    if newer:
        return list(reversed(found[:NUM_ROWS])), True, len(found) > NUM_ROWS
    return found[:NUM_ROWS], len(found) > NUM_ROWS, bool(older)


def _models(connection: Connection, project: str) -> list[str]:
    """The first names in use, each found by a look into the index instead of a walk over all rows."""
    found: list[str] = []
    while len(found) < NUM_MODELS:
        query = select(func.min(completions.c.model)).where(completions.c.project == project)
        name = connection.scalar(query.where(completions.c.model > found[-1]) if found else query)
        if name is None:
            break
        found.append(name)
    return found


def _short(row: Row[Any], large: str) -> LogRow:
    body = msgspec.json.decode(row.body)
    request = msgspec.json.decode(row.request) if row.request else {}
    messages = request.get("messages") or []
    return LogRow(
        id=row.id,
        created_at=row.seq // SEQ_PER_S,
        model=row.model,
        prompt=text_of(messages[-1])[:MAX_SHORT] if messages else large,
        answer=" ".join(text_of(choice["message"]) for choice in body["choices"])[:MAX_SHORT],
        tokens=(body.get("usage") or {}).get("total_tokens"),
        metadata=body.get("metadata") or {},
    )


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says in words."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [str(part.get("text", "")) for part in parts if isinstance(part, dict)]
    calls = message.get("tool_calls") or []
    names = [str(call.get("function", {}).get("name", "")) + "()" for call in calls if isinstance(call, dict)]
    return " ".join(filter(None, [*texts, *names, str(message.get("refusal") or "")]))


def _whole(row: Row[Any], request: dict[str, Any]) -> Completion:
    body = msgspec.json.decode(row.body)
    usage = body.get("usage") or {}
    counts = {name: count for name, count in usage.items() if isinstance(count, int)}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    if isinstance(cached, int):
        counts["cached_tokens"] = cached
    return Completion(
        id=row.id,
        created_at=row.seq // SEQ_PER_S,
        model=row.model,
        teacher=row.teacher,
        messages=[*request.get("messages", ()), *(choice["message"] for choice in body["choices"])],
        request={name: value for name, value in request.items() if name not in ("messages", "model")},
        usage=counts,
        metadata=body.get("metadata") or {},
    )


ENDPOINTS = (
    look("/logs", show_all),
    look("/logs/{id}", show_one),
    send("/logs/{id}/delete", delete),
)
