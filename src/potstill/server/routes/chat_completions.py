"""/v1/chat/completions: asking."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

from potstill.server.accumulate import Accumulated
from potstill.server.answerers import Answerer, Json, find_answerer
from potstill.server.bodies import convert
from potstill.server.cascade import Cascade
from potstill.server.chat import (
    ChatRequest,
    check_request,
    complete_usage,
    count_tokens,
    finish,
    first_and_rest,
    in_published_form,
    joined,
    store,
)
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.ids import SEQ_PER_S, new_id, next_seq
from potstill.server.streaming import event_stream
from potstill.server.writing import Writer
from potstill.server.writing.leaving import unless_gone


async def create(call: Call) -> Any:
    """Asks whoever answers for the model, and keeps the answer where the client says so."""
    request = convert(call.body, ChatRequest)
    check_request(request)
    answerer = await find_answerer(call.services, call.project, request.model)
    if request.stream:
        return await _streamed(call, request, answerer)
    work = answerer.complete(call.body)
    found = await (unless_gone(call.request, work) if isinstance(answerer, Writer) else work)
    _keep_for_next_round(request, answerer)
    return await finish(call.services, call.key, request, call.body, found, answerer.name)


def _keep_for_next_round(request: ChatRequest, answerer: Answerer) -> None:
    """What a cascade's teacher said is stored unless the client says no."""
    if isinstance(answerer, Cascade) and answerer.has_asked and request.store is None:
        request.store = True


async def _streamed(call: Call, request: ChatRequest, answerer: Answerer) -> StreamingResponse:
    options = request.stream_options or {}
    body = call.body
    if not options.get("include_usage"):
        # The stored row and the figures of cost have the usage, also where the client doesn't ask for it.
        body = {**body, "stream_options": {**options, "include_usage": True}}
    first, rest = await first_and_rest(answerer.stream(body))
    _keep_for_next_round(request, answerer)
    events = _events(call, request, answerer.name, first, rest)
    return event_stream(events, route=call.request.url.path)


async def _events(
    call: Call, request: ChatRequest, teacher: str, first: Json, rest: AsyncIterator[Json]
) -> AsyncGenerator[Json, None]:
    """Chunks as they are sent; they end when the answer is on disk."""
    seq = next_seq()
    id = new_id("chatcmpl-", seq)
    head = {"id": id, "object": "chat.completion.chunk", "created": seq // SEQ_PER_S, "model": request.model}
    wants_usage = bool((request.stream_options or {}).get("include_usage"))
    accumulated = Accumulated()
    async for chunk in joined(first, rest):
        accumulated.add(chunk)
        if (shown := _shown(chunk, head, wants_usage=wants_usage)) is not None:
            yield shown
    whole = in_published_form(accumulated.whole(), id=id, seq=seq, request=request)
    count_tokens(call.services, call.key, request.model, teacher, whole.get("usage"))
    if request.store and call.key.may_store:
        await store(call.services, call.key, seq, whole, call.body, teacher)


def _shown(chunk: Json, head: Json, *, wants_usage: bool) -> Json | None:
    """A chunk as the published schema wants it; None for the one of usage where nobody asked."""
    usage = chunk.pop("usage", None)
    if not chunk["choices"] and not (wants_usage and usage):
        return None
    for choice in chunk["choices"]:
        choice.setdefault("finish_reason", None)
        choice.setdefault("logprobs", None)
    shown = {**chunk, **head}
    if wants_usage:
        shown["usage"] = complete_usage(usage) if usage else None
    return shown


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/chat/completions",
        policy=Policy.PROJECT,
        handler=create,
        body=dict[str, Any],
        doc=Doc(answer="chat.completion", reads=ChatRequest, streams=True),
    ),
)
