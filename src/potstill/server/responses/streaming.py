"""The events of a streamed response, from the chunks of the chat completion that answers it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from potstill.server.answerers import Json


class Events:
    """Numbers them; one message of one text is what a response of ours holds."""

    def __init__(self) -> None:
        self._next = 0

    def start(self, response: Json) -> Iterator[Json]:
        """Before the first word.

        Args:
            response: as it will be, without output and usage.
        """
        message_id = _message_id(response)
        yield self._event("response.created", response=response)
        yield self._event("response.in_progress", response=response)
        item = {"id": message_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        yield self._event("response.output_item.added", output_index=0, item=item)
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        yield self._event("response.content_part.added", **_place(message_id), part=part)

    def delta(self, response: Json, text: str) -> Json:
        """A piece of the text."""
        place = _place(_message_id(response))
        return self._event("response.output_text.delta", **place, delta=text, logprobs=[])

    def end(self, response: Json) -> Iterator[Json]:
        """After the last word.

        Args:
            response: whole.
        """
        item = response["output"][0]
        place = _place(item["id"])
        for part in item["content"][:1]:
            if part["type"] == "output_text":
                yield self._event("response.output_text.done", **place, text=part["text"], logprobs=[])
            yield self._event("response.content_part.done", **place, part=part)
        yield self._event("response.output_item.done", output_index=0, item=item)
        yield self._event(f"response.{response['status']}", response=response)

    def error(self, body: Json) -> Json:
        """Something went wrong in the middle."""
        said = body["error"]
        return self._event("error", code=said["code"], message=said["message"], param=said["param"])

    def _event(self, kind: str, **more: Any) -> Json:
        number, self._next = self._next, self._next + 1
        return {"type": kind, "sequence_number": number, **more}


def _message_id(response: Json) -> str:
    return f"msg_{response['id'].removeprefix('resp_')}"


def _place(message_id: str) -> Json:
    return {"item_id": message_id, "output_index": 0, "content_index": 0}
