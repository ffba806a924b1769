"""/v1/responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
from sqlalchemy import Connection, Row
from starlette.concurrency import run_in_threadpool

from potstill.server.accumulate import Accumulated
from potstill.server.answerers import Answerer, Json, find_answerer
from potstill.server.bodies import convert
from potstill.server.chat import ChatRequest, check_request, finish, first_and_rest, joined
from potstill.server.completions import find_completion, remove, request_of
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import ApiError, invalid, not_found
from potstill.server.files import drop_content
from potstill.server.ids import SEQ_PER_S, new_id, next_seq
from potstill.server.pages import check_metadata, read_page
from potstill.server.responses.asking import MARK, ResponseRequest, chat_body, check_served, mark_of
from potstill.server.responses.showing import CHAT, RESPONSE, input_items, response_object, without_instructions
from potstill.server.responses.streaming import Events
from potstill.server.streaming import data_frame, event_stream

RESPONSES = "/v1/responses"
ONE = RESPONSES + "/{response_id}"
WITH_USAGE = {"include_usage": True}
EMPTY: Json = {"message": {}, "finish_reason": None}


async def create(call: Call) -> Any:
    """Asks as a chat completion; it is stored unless the client says no."""
    asked: ResponseRequest = call.body
    check_served(asked)
    metadata = check_metadata(asked.metadata) or {}
    keeps = asked.store is not False and call.key.may_store
    body = chat_body(asked, await _earlier(call, asked.previous_response_id))
    request = convert(body | ({"store": True, "metadata": metadata} if keeps else {}), ChatRequest)
    check_request(request)
    answerer = await find_answerer(call.services, call.project, request.model)
    marked = {**body, MARK: mark_of(asked)}
    if asked.stream:
        chunks = await first_and_rest(answerer.stream({**body, "stream": True, "stream_options": WITH_USAGE}))
        events = Events()
        values = _values(call, request, answerer, marked, metadata, events, *chunks)
        # The last event says that it is the last.
        return event_stream(
            values, route=RESPONSES, frame=_frame, failed=lambda error: events.error(error.body()), last=b""
        )
    found = await answerer.complete(body)
    completion = await finish(call.services, call.key, request, marked, found, answerer.name)
    return response_object(completion, marked, metadata, is_stored=keeps)


async def _values(
    call: Call,
    request: ChatRequest,
    answerer: Answerer,
    marked: Json,
    metadata: Json,
    events: Events,
    first: Json,
    rest: AsyncIterator[Json],
) -> AsyncGenerator[Json, None]:
    """Events of the answer; the last one comes when it is on disk."""
    seq = next_seq()
    id, accumulated = new_id(CHAT, seq), Accumulated()
    keeps = bool(request.store)
    begun = {"id": id, "created": seq // SEQ_PER_S, "model": request.model, "choices": [EMPTY]}
    open_response = response_object(begun, marked, metadata, is_stored=keeps)
    open_response |= {"status": "in_progress", "output": []}
    for event in events.start(open_response):
        yield event
    async for chunk in joined(first, rest):
        for text in (choice["delta"].get("content") for choice in chunk["choices"]):
            if text:
                yield events.delta(open_response, text)
        accumulated.add(chunk)
    found = accumulated.whole()
    whole = await finish(call.services, call.key, request, marked, found, answerer.name, (seq, id))
    for event in events.end(response_object(whole, marked, metadata, is_stored=keeps)):
        yield event


def _frame(event: Json) -> bytes:
    return f"event: {event['type']}\n".encode() + data_frame(event)


async def retrieve(call: Call) -> dict[str, Any]:
    """One that was stored."""
    row, request = await _stored(call, call.path("response_id"))
    completion = msgspec.json.decode(row.body)
    return response_object(completion, request, completion["metadata"], is_stored=True)


async def remove_one(call: Call) -> dict[str, Any]:
    """Deletes it, and with it the stored completion."""
    id = call.path("response_id")
    row, _ = await _stored(call, id)

    def write(connection: Connection) -> str | None:
        remove(connection, row)
        digest: str | None = row.request_blob
        return digest

    await drop_content(call.services, await call.services.database.write(write))
    return {"id": id, "object": "response", "deleted": True}


async def list_items(call: Call) -> dict[str, Any]:
    """What was asked, the last message first."""
    page = read_page(call.request.query_params)
    row, request = await _stored(call, call.path("response_id"))
    return page.of_list(input_items(row.id, request), "item")


async def _stored(call: Call, id: str) -> tuple[Row[Any], dict[str, Any]]:
    """The stored completion of a response, and its request.

    Raises:
        ApiError: 404: unknown, not stored, another project's, or a completion that was asked for as such.
    """
    missing = not_found("response", id, "response_id")
    if not id.startswith(RESPONSE):
        raise missing
    try:
        name = CHAT + id.removeprefix(RESPONSE)
        row = await call.services.database.read(lambda connection: find_completion(connection, call.project, name))
    except ApiError:
        raise missing from None
    request = await run_in_threadpool(request_of, row, call.services.blobs)
    if MARK not in request:
        raise missing
    return row, request


async def _earlier(call: Call, id: str | None) -> list[dict[str, Any]]:
    """The messages of the response that this one goes on from, with its answer."""
    if id is None:
        return []
    try:
        row, request = await _stored(call, id)
    except ApiError:
        message = f"Previous response with id '{id[:200]}' not found."
        raise invalid(message, "previous_response_id", "previous_response_not_found") from None
    answer = msgspec.json.decode(row.body)["choices"][0]["message"]
    said = answer.get("content") or answer.get("refusal") or ""
    return [*without_instructions(request), {"role": "assistant", "content": said}]


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=RESPONSES,
        policy=Policy.PROJECT,
        handler=create,
        body=ResponseRequest,
        doc=Doc(answer="response", streams=True),
    ),
    Endpoint(method="GET", path=ONE, policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="response")),
    Endpoint(method="DELETE", path=ONE, policy=Policy.PROJECT, handler=remove_one, doc=Doc(answer="response")),
    Endpoint(
        method="GET",
        path=ONE + "/input_items",
        policy=Policy.PROJECT,
        handler=list_items,
        doc=Doc(answer="page of json", query=("page",)),
    ),
)
