"""Events of the server, in the published form."""

from __future__ import annotations

import math
from typing import Any

from potstill.runtime.model import Prediction
from potstill.server.answerers import Json
from potstill.server.errors import ApiError
from potstill.server.ids import new_id
from potstill.server.realtime.hearing import Began, Utterance

# A student that hears reads and writes no tokens.
NO_USAGE = {"total_tokens": 0, "input_tokens": 0, "output_tokens": 0}


def event(kind: str, **values: Any) -> Json:
    """One event with an id of its own."""
    return {"type": kind, "event_id": new_id("event_"), **values}


def error(found: ApiError, client_event: Any) -> Json:
    """What was wrong with an event of the client; the connection stays open."""
    body = found.body()["error"]
    return event("error", error={**body, "event_id": client_event if isinstance(client_event, str) else None})


def speech_started(began: Began, item: str) -> Json:
    """Somebody speaks."""
    return event("input_audio_buffer.speech_started", audio_start_ms=round(began.start_s * 1000), item_id=item)


def speech_stopped(heard: Utterance, item: str) -> Json:
    """Nobody speaks any more."""
    return event("input_audio_buffer.speech_stopped", audio_end_ms=round(heard.end_s * 1000), item_id=item)


def user_item(id: str, transcript: str | None) -> Json:
    """What was heard, without the sound itself, which is not kept."""
    part: Json = {"type": "input_audio"} | ({} if transcript is None else {"transcript": transcript})
    return {"id": id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"} | {
        "content": [part]
    }


def item_events(item: Json, before: str | None) -> list[Json]:
    """An item is there, and whole."""
    return [event(f"conversation.item.{what}", previous_item_id=before, item=item) for what in ("added", "done")]


def logprobs(text: str, prediction: Prediction) -> list[Json]:
    """The student's calibrated probability, as that of one token which is the whole text."""
    logprob = math.log(max(prediction.probability, 1e-12))
    return [{"token": text, "logprob": logprob, "bytes": list(text.encode())}]


def transcription(item: str, text: str, seconds: float, logprobs: list[Json] | None) -> list[Json]:
    """What was said, in one piece: a student knows it when it knows it."""
    kind = "conversation.item.input_audio_transcription."
    place: Json = {"item_id": item, "content_index": 0, "logprobs": logprobs}
    usage = {"type": "duration", "seconds": round(seconds, 3)}
    return [
        event(kind + "delta", **place, delta=text),
        event(kind + "completed", **place, transcript=text, usage=usage),
    ]


def worth_of(prediction: Prediction) -> Json:
    """What an answer is worth, for the extension field `potstill`."""
    return {"probability": prediction.probability, "in_scope": prediction.in_scope}


def response(id: str, before: str | None, text: str, prediction: Prediction) -> tuple[list[Json], Json]:
    """The events of a response that is one text, and its item.

    The field `potstill` of the last event, an addition of ours, says what the answer is worth.
    """
    response_id = new_id("resp_")
    base = {"id": id, "object": "realtime.item", "type": "message", "role": "assistant"}
    begun: Json = {**base, "status": "in_progress", "content": []}
    item: Json = {**base, "status": "completed", "content": [{"type": "output_text", "text": text}]}
    shown: Json = {"id": response_id, "object": "realtime.response", "output_modalities": ["text"], "metadata": None}
    ours = {"response_id": response_id, "output_index": 0}
    place = {**ours, "item_id": id, "content_index": 0}
    begins = {**shown, "status": "in_progress", "output": []}
    ends = {**shown, "status": "completed", "output": [item], "usage": NO_USAGE}
    events = [
        event("response.created", response=begins),
        event("response.output_item.added", **ours, item=begun),
        event("conversation.item.added", previous_item_id=before, item=begun),
        event("response.content_part.added", **place, part={"type": "text", "text": ""}),
        event("response.output_text.delta", **place, delta=text),
        event("response.output_text.done", **place, text=text),
        event("response.content_part.done", **place, part={"type": "text", "text": text}),
        event("conversation.item.done", previous_item_id=before, item=item),
        event("response.output_item.done", **ours, item=item),
        event("response.done", response={**ends, "potstill": worth_of(prediction)}),
    ]
    return events, item
