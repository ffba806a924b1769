"""A classifier student that answers chat completions: in its teacher's form, and never outside the enum."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import final

from starlette.concurrency import run_in_threadpool

from potstill.errors import DataError
from potstill.runtime.model import Model, Prediction
from potstill.server.answerers import Json, completion, in_chunks
from potstill.server.compiling import Task
from potstill.server.errors import invalid
from potstill.server.models.enum import allowed_values, best_allowed
from potstill.server.models.picture import picture_bytes
from potstill.server.remote_pictures import NO_PICTURES, RemotePictures

LONG_TEXT = 20_000
"""Characters; up to this a prediction takes less time than a change of thread."""


@final
@dataclass(frozen=True, slots=True)
class Student:
    """An `Answerer`."""

    id: str
    model: Model
    task: Task
    label: str = "student"
    pictures: RemotePictures = NO_PICTURES

    @property
    def name(self) -> str:
        """Kept with its answers: `student`, or the name of a teacher on this machine."""
        return self.label

    async def complete(self, body: Json) -> Json:
        """Answers, with what it is worth in the extension field `potstill`."""
        prediction, fits = await self._read(body)
        content = self.task.answer.write(self._labels(prediction, body.get("response_format")))
        found = completion(self.id, content, usage=self._usage(body, content))
        found["potstill"] = {
            "probability": prediction.probability,
            "in_scope": prediction.in_scope,
            "fits_template": fits,
        }
        return found

    async def stream(self, body: Json) -> AsyncIterator[Json]:
        """The same in chunks."""
        async for chunk in in_chunks(await self.complete(body)):
            yield chunk

    async def predict(self, body: Json) -> Prediction:
        """What it says about a request, with its probability.

        Raises:
            ApiError: 400: nothing in it can be read.
        """
        return (await self._read(body))[0]

    async def _read(self, body: Json) -> tuple[Prediction, bool]:
        """The prediction, and whether the prompt has the template of those that it learned from."""
        messages = body["messages"]
        if not any(message.get("role") == "user" for message in messages):
            raise invalid("This student answers what a user says, and there is no message of a user.", "messages")
        try:
            value, fits = self.task.prompt.take(messages)
            if self.task.prompt.modality == "image":
                value = await run_in_threadpool(self.model.read, await picture_bytes(value, self.pictures))
            elif len(value) <= LONG_TEXT:
                return self.model.predict([value])[0], fits
            return (await run_in_threadpool(self.model.predict, [value]))[0], fits
        except DataError as error:
            raise invalid(str(error), "messages") from None

    def _labels(self, prediction: Prediction, response_format: Json | None) -> dict[str, str]:
        """The most probable classes among those that the request's own schema allows."""
        single = len(self.model.schema.fields) == 1
        found = {}
        for field in self.task.answer.fields:
            label = prediction.label if single else prediction.label[field.name]
            by_class = prediction.probabilities if single else prediction.probabilities[field.name]
            limit = allowed_values(response_format, field.path) if field.path else None
            found[field.name] = best_allowed(field, label, by_class, limit)
        return found

    def _usage(self, body: Json, content: str) -> Json:
        """A student has no tokens to bill; these are four bytes each, so that figures can be compared roughly."""
        texts = [m["content"] for m in body["messages"] if isinstance(m.get("content"), str)]
        prompt, answer = (-(-sum(len(text.encode()) for text in part) // 4) for part in (texts, [content]))
        details = {"prompt_tokens_details": {"cached_tokens": 0}}
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer, **details}
