"""/v1/completions: the older form, for models that write on this machine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from potstill.server.answerers import find_answerer
from potstill.server.bodies import convert
from potstill.server.chat import count_tokens, first_and_rest, joined
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid
from potstill.server.ids import new_id, now
from potstill.server.streaming import event_stream
from potstill.server.writing import Writer
from potstill.server.writing.leaving import unless_gone
from potstill.server.writing.text import TextOptions, TextWhole, text_chunk, text_request

Json = dict[str, Any]


async def create(call: Call) -> Any:
    """Goes on with a text."""
    options = convert(call.body, TextOptions)
    writer = await find_answerer(call.services, call.project, options.model)
    if not isinstance(writer, Writer):
        raise invalid(
            f"The model `{options.model[:200]}` answers chats, and completions are served by models that write on this "
            "machine. Use chat completions.",
            "model",
            "model_not_supported",
        )
    asked = text_request(options, writer.model)
    chunks = writer.engines.chunks(writer.model, "text", asked)
    head = {"id": new_id("cmpl-"), "object": "text_completion", "created": now(), "model": options.model}
    if options.stream:
        first, rest = await first_and_rest(chunks)
        wants_usage = bool((options.stream_options or {}).get("include_usage"))
        events = _events(call, writer.name, head, joined(first, rest), wants_usage)
        return event_stream(events, route=call.request.url.path)
    whole = TextWhole()
    await unless_gone(call.request, _gather(chunks, whole))
    count_tokens(call.services, call.key, options.model, writer.name, whole.rest.get("usage"))
    return {**head, **whole.to_json()}


async def _gather(chunks: AsyncIterator[Json], whole: TextWhole) -> None:
    async for chunk in chunks:
        whole.add(text_chunk(chunk))


async def _events(
    call: Call, name: str, head: Json, chunks: AsyncIterator[Json], wants_usage: bool
) -> AsyncGenerator[Json, None]:
    async for chunk in chunks:
        told = text_chunk(chunk)
        if "usage" in told:
            count_tokens(call.services, call.key, head["model"], name, told["usage"])
        if told["choices"] or wants_usage:
            yield {**head, **told}


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/completions",
        policy=Policy.PROJECT,
        handler=create,
        body=dict[str, Any],
        doc=Doc(answer="text_completion", reads=TextOptions, streams=True),
    ),
)
