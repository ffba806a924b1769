"""One chat completion, whole or streamed: asked, brought into the published form, and stored when that is wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool

from potstill.server.answerers import Json, complete_patiently, find_answerer
from potstill.server.auth import Key
from potstill.server.completions import MAX_REQUEST_BYTES, encode_request, rows_of
from potstill.server.errors import invalid
from potstill.server.ids import SEQ_PER_S, new_id, next_seq
from potstill.server.pages import check_metadata

if TYPE_CHECKING:
    from potstill.server.services import Services

ONLY_WITH_STORE = "The 'metadata' parameter is only allowed when 'store' is enabled."


class ChatRequest(msgspec.Struct):
    """What we look at in a request; everything else is passed on as it came."""

    model: str
    messages: list[dict[str, Any]]
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None


def check_request(request: ChatRequest) -> None:
    """OpenAI's rules that a teacher would not hold.

    Raises:
        ApiError: 400.
    """
    if not request.messages:
        raise invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        )
    if request.metadata is not None and not request.store:
        raise invalid(ONLY_WITH_STORE, "metadata")
    check_metadata(request.metadata)


def in_published_form(found: Json, *, id: str, seq: int, request: ChatRequest) -> Json:
    """An answer as the published schema wants it: what a teacher leaves out is null, its names are ours."""
    for choice in found["choices"]:
        choice.setdefault("finish_reason", "stop")
        choice.setdefault("logprobs", None)
        message = choice["message"]
        message["role"] = "assistant"
        message.setdefault("content", None)
        message.setdefault("refusal", None)
        for name in ("tool_calls", "function_call", "audio"):
            if name in message and not message[name]:
                del message[name]
    for name in ("service_tier", "system_fingerprint", "prompt_logprobs", "usage"):
        if name in found and found[name] is None:
            del found[name]
    found |= {"id": id, "object": "chat.completion", "created": seq // SEQ_PER_S, "model": request.model}
    if "usage" in found:
        found["usage"] = complete_usage(found["usage"])
    if request.store:
        # Clients look for it there, and OpenAI's answers have it in lists only.
        found["metadata"] = request.metadata or {}
    return found


def complete_usage(usage: Any) -> Json:
    """Usage with its three totals; details stay as the teacher gave them, cached tokens among them."""
    found = dict(usage) if isinstance(usage, dict) else {}
    prompt, answer = (_count(found.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    details = {name: value for name, value in found.items() if value is not None or not name.endswith("_details")}
    return {**details, "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


async def finish(
    services: Services,
    key: Key,
    request: ChatRequest,
    body: Json,
    found: Json,
    answerer: str,
    told: tuple[int, str] | None = None,
) -> Json:
    """Brings a whole answer into the published form, counts it, and keeps it where the client says so.

    Args:
        services: of the server.
        key: that the request came with.
        request: what was read of `body`.
        body: as the client sent it.
        found: what was answered.
        answerer: whose answer it is.
        told: its place and its name, where a stream has told them already.
    """
    seq = told[0] if told else next_seq()
    id = told[1] if told else new_id("chatcmpl-", seq)
    response = in_published_form(found, id=id, seq=seq, request=request)
    count_tokens(services, key, request.model, answerer, response.get("usage"))
    if request.store and key.may_store:
        await store(services, key, seq, response, body, answerer)
    return response


async def store(
    services: Services, key: Key, seq: int, response: Json, request: Mapping[str, Any], teacher: str
) -> None:
    """Keeps a completion; when this returns, it is on disk."""
    content = encode_request(request)
    large = len(content) > MAX_REQUEST_BYTES
    asked = await run_in_threadpool(services.blobs.put, content) if large else content
    await services.database.append(rows_of(key, seq, response, request, asked=asked, teacher=teacher))
    services.metrics.stored.inc()


def count_tokens(services: Services, key: Key, model: str, answerer: str, usage: Any) -> None:
    """Adds an answer and its tokens to the figures.

    Args:
        services: of the server.
        key: that it was asked with.
        model: as the client named it.
        answerer: the name of a teacher or the kind of a student, a bounded number.
        usage: of the answer.
    """
    told = usage if isinstance(usage, dict) else {}
    prompt, answer = (_count(told.get(kind)) for kind in ("prompt_tokens", "completion_tokens"))
    services.metrics.used(answerer, "prompt_tokens", prompt)
    services.metrics.used(answerer, "completion_tokens", answer)
    services.usage.add(key, model, answerer, prompt, answer)


async def complete_counted(services: Services, key: Key, body: Json) -> Json:
    """One answer for work that nobody waits for, in the figures of a key.

    Raises:
        ApiError: it can't be answered, or not even after some seconds.
    """
    answerer = await find_answerer(services, key.project, body["model"])
    found = await complete_patiently(answerer, body)
    count_tokens(services, key, body["model"], answerer.name, found.get("usage"))
    return found


async def first_and_rest(chunks: AsyncIterator[Json]) -> tuple[Json, AsyncIterator[Json]]:
    """The first chunk, so that an error before it has a status of its own."""
    try:
        return await anext(chunks), chunks
    except StopAsyncIteration:
        raise invalid("The model gave an empty answer.", code="empty_answer") from None


async def joined(first: Json, rest: AsyncIterator[Json]) -> AsyncIterator[Json]:
    """All chunks again."""
    yield first
    async for chunk in rest:
        yield chunk


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
