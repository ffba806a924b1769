"""/v1/chat/completions: what was stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, update
from starlette.concurrency import run_in_threadpool

from potstill.server.completions import find_completion, metadata_rows, remove, request_of
from potstill.server.database.tables import completion_metadata, completions
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.files import drop_content
from potstill.server.matching import Filter, find_page
from potstill.server.pages import check_metadata, metadata_filter, page_body, read_page, read_time

PATH = "/v1/chat/completions"
ONE = PATH + "/{completion_id}"


class Update(msgspec.Struct):
    """The only thing that can be changed."""

    metadata: dict[str, Any] | None


def read_filter(query: Mapping[str, str]) -> Filter:
    """OpenAI's filters, and ours: a range of dates, and text.

    Raises:
        ApiError: 400.
    """
    return Filter(
        model=query.get("model"),
        metadata=metadata_filter(query),
        created_after=read_time(query, "created_after"),
        created_before=read_time(query, "created_before"),
        text=query.get("text"),
    )


async def list_all(call: Call) -> dict[str, Any]:
    """A page of what matches."""
    query = call.request.query_params
    page = read_page(query, order="asc")
    wanted = read_filter(query)

    def find(connection: Connection) -> dict[str, Any]:
        after = find_completion(connection, call.project, page.after, "after").seq if page.after else None
        limit = page.limit + 1
        columns = ("id", "body")
        rows = find_page(connection, call.project, wanted, columns, after=after, ascending=page.ascending, limit=limit)
        shown = rows[: page.limit]
        data = [msgspec.Raw(row.body) for row in shown]
        return page_body(data, [row.id for row in shown], has_more=len(rows) > page.limit)

    return await call.services.database.read(find)


async def retrieve(call: Call) -> msgspec.Raw:
    """One."""
    id = call.path("completion_id")
    row = await call.services.database.read(lambda connection: find_completion(connection, call.project, id))
    return msgspec.Raw(row.body)


async def change(call: Call) -> dict[str, Any]:
    """Replaces its metadata."""
    id, metadata = call.path("completion_id"), check_metadata(call.body.metadata) or {}

    def write(connection: Connection) -> dict[str, Any]:
        row = find_completion(connection, call.project, id)
        body: dict[str, Any] = {**msgspec.json.decode(row.body), "metadata": metadata}
        encoded = msgspec.json.encode(body)
        connection.execute(update(completions).where(completions.c.seq == row.seq).values(body=encoded))
        connection.execute(delete(completion_metadata).where(completion_metadata.c.seq == row.seq))
        if metadata:
            connection.execute(completion_metadata.insert(), metadata_rows(call.project, row.seq, metadata))
        return body

    return await call.services.database.write(write)


async def delete_one(call: Call) -> dict[str, Any]:
    """Deletes it; a large request goes when nothing else names it."""
    id = call.path("completion_id")

    def write(connection: Connection) -> str | None:
        row = find_completion(connection, call.project, id)
        remove(connection, row)
        digest: str | None = row.request_blob
        return digest

    await drop_content(call.services, await call.services.database.write(write))
    return {"object": "chat.completion.deleted", "id": id, "deleted": True}


async def messages(call: Call) -> dict[str, Any]:
    """What was asked; a cursor is the completion's id with the place of the message."""
    id = call.path("completion_id")
    page = read_page(call.request.query_params, order="asc")
    row = await call.services.database.read(lambda connection: find_completion(connection, call.project, id))
    request = await run_in_threadpool(request_of, row, call.services.blobs)
    found = [_message(f"{id}-{place}", message) for place, message in enumerate(request["messages"])]
    return page.of_list(found, "message")


def _message(id: str, message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    shown = {**message, "id": id, "content": None if parts else content, "content_parts": parts}
    return {"name": None, "refusal": None, **shown}


ENDPOINTS = (
    Endpoint(
        method="GET",
        path=PATH,
        policy=Policy.PROJECT,
        handler=list_all,
        doc=Doc(
            answer="page of chat.completion",
            query=("page", "model", "metadata", "created_after", "created_before", "text"),
        ),
    ),
    Endpoint(method="GET", path=ONE, policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="chat.completion")),
    Endpoint(
        method="POST", path=ONE, policy=Policy.PROJECT, handler=change, body=Update, doc=Doc(answer="chat.completion")
    ),
    Endpoint(
        method="DELETE", path=ONE, policy=Policy.PROJECT, handler=delete_one, doc=Doc(answer="chat.completion.deleted")
    ),
    Endpoint(
        method="GET",
        path=ONE + "/messages",
        policy=Policy.PROJECT,
        handler=messages,
        doc=Doc(answer="page of json", query=("page",)),
    ),
)
