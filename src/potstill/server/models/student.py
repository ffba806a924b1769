"""A classifier student that answers chat completions: in its teacher's form, and never outside the enum."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from starlette.concurrency import run_in_threadpool

from potstill.errors import DataError
from potstill.runtime.model import Model, Prediction
from potstill.server.answerers import Json, completion, in_chunks
from potstill.server.errors import invalid
from potstill.server.models.template import FieldAnswer, Template, allowed_values

LONG_TEXT = 20_000
"""Characters; up to this a prediction takes less time than a change of thread."""


@final
@dataclass(frozen=True, slots=True)
class Student:
    """An `Answerer`."""

    id: str
    model: Model
    template: Template

    @property
    def name(self) -> str:
        """Kept with its answers."""
        return "student"

    async def complete(self, body: Json) -> Json:
        """Answers, with what it is worth in the extension field `potstill`."""
        prediction = await self.predict(body)
        labels = self._labels(prediction, body.get("response_format"))
        content = self.template.answer(labels)
        found = completion(self.id, content, usage=self._usage(body, content))
        found["potstill"] = {"probability": prediction.probability, "in_scope": prediction.in_scope}
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
        if self.template.input == "text":
            text = self.template.text(body["messages"])
            if len(text) <= LONG_TEXT:
                return self.model.predict([text])[0]
            return (await run_in_threadpool(self.model.predict, [text]))[0]
        file = self.template.picture(body["messages"])
        try:
            picture = await run_in_threadpool(self.model.read, file)
            return (await run_in_threadpool(self.model.predict, [picture]))[0]
        except DataError as error:
            raise invalid(str(error), "messages", "invalid_image") from None

    def _labels(self, prediction: Prediction, response_format: Json | None) -> Json:
        """The most probable classes among those that the request's own schema allows."""
        single = len(self.model.schema.fields) == 1
        found = {}
        for field in self.model.schema.fields:
            label = prediction.label if single else prediction.label[field.name]
            by_class = prediction.probabilities if single else prediction.probabilities[field.name]
            part = next((part for part in self.template.fields if part.field == field.name), None)
            if part and not field.multi and self.template.form == "json":
                label = _allowed(part, label, by_class, allowed_values(response_format, part.key))
            found[field.name] = label
        return found

    def _usage(self, body: Json, content: str) -> Json:
        """A student has no tokens to bill; these are four bytes each, so that figures can be compared roughly."""
        texts = [m["content"] for m in body["messages"] if isinstance(m.get("content"), str)]
        prompt, answer = (-(-sum(len(text.encode()) for text in part) // 4) for part in (texts, [content]))
        details = {"prompt_tokens_details": {"cached_tokens": 0}}
        return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer, **details}


def _allowed(part: FieldAnswer, label: str, by_class: Mapping[str, float], values: list[Any] | None) -> str:
    if values is None or part.value(label) in values:
        return label
    kept = {name: p for name, p in by_class.items() if part.value(name) in values}
    if not kept:
        raise invalid(
            f"The schema in 'response_format' allows none of the values that this student knows for '{part.key}'.",
            "response_format",
            "no_common_value",
        )
    return max(kept, key=lambda name: kept[name])
