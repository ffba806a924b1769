"""Who answers a chat completion: a teacher behind an API, a student of this project, later ones by their prefix."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

from potstill.server.errors import ApiError, no_such_model
from potstill.server.ids import now

if TYPE_CHECKING:
    from potstill.server.services import Services

Json = dict[str, Any]
RETRY_AFTER_S = (1.0, 4.0)


class Answerer(Protocol):
    """Anything that answers chat completions."""

    @property
    def name(self) -> str:
        """Whose answers they are; kept with every stored row."""
        ...

    async def complete(self, body: Json) -> Json:
        """One whole answer.

        Args:
            body: of the request as the client sent it, checked.

        Returns:
            A `chat.completion`; its id, model and metadata are set by the caller.

        Raises:
            ApiError: it can't be answered.
        """
        ...

    def stream(self, body: Json) -> AsyncIterator[Json]:
        """The same as `chat.completion.chunk` objects.

        Raises:
            ApiError: also after the first of them.
        """
        ...


async def find_answerer(services: Services, project: str, model: str) -> Answerer:
    """Who answers for a model's name.

    Raises:
        ApiError: 404.
    """
    model = services.aliases.resolve(project, model)
    if model.startswith("cascade:"):
        from potstill.server.cascade import find_cascade  # it stands on this module

        return await find_cascade(services, project, model)
    if model.startswith("ft:"):
        return await services.students.find(project, model)
    teacher = services.teachers.find(model)
    if teacher is None:
        raise no_such_model(model)
    return teacher


async def complete_patiently(answerer: Answerer, body: Json) -> Json:
    """One answer for work that nobody waits for; a teacher that is busy or away for a moment is asked again.

    Raises:
        ApiError: it can't be answered, or not even after some seconds.
    """
    for delay_s in RETRY_AFTER_S:
        try:
            return await answerer.complete(body)
        except ApiError as error:
            if error.status != 429 and error.status < 500:
                raise
        await asyncio.sleep(delay_s)
    return await answerer.complete(body)


def completion(model: str, content: str, *, usage: Json, finish_reason: str = "stop") -> Json:
    """A `chat.completion` with one answer of text; whoever sends it names it."""
    message: Json = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    return {
        "id": "",
        "object": "chat.completion",
        "created": now(),
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}],
        "usage": usage,
    }


async def in_chunks(whole: Json) -> AsyncIterator[Json]:
    """A whole answer as the chunks of a stream, for those who answer at once."""
    head = {"id": whole["id"], "object": "chat.completion.chunk", "created": whole["created"], "model": whole["model"]}
    for choice in whole["choices"]:
        place = {"index": choice["index"], "logprobs": None}
        content = choice["message"]["content"]
        start = {"role": "assistant", "content": "", "refusal": None}
        yield {**head, "choices": [{**place, "delta": start, "finish_reason": None}]}
        yield {**head, "choices": [{**place, "delta": {"content": content}, "finish_reason": None}]}
        yield {**head, "choices": [{**place, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield {**head, "choices": [], "usage": whole["usage"]}
