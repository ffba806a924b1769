"""One conversation: events of the client in, events of the server out; it knows nothing of networks."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, final

from potstill.errors import PotstillError
from potstill.runtime.listening import VoiceActivity
from potstill.runtime.model import Model, Prediction
from potstill.server.answerers import Json
from potstill.server.errors import ApiError, invalid
from potstill.server.ids import new_id
from potstill.server.realtime import telling
from potstill.server.realtime.hearing import Began, Hearing, Utterance
from potstill.server.realtime.session import Detection, Session, updated
from potstill.server.realtime.sounds import decode_samples

MOST_ITEMS = 1000
UNSERVED = ("conversation.item.truncate", "output_audio_buffer.clear")


@final
class Talk:
    """A session with what was said in it."""

    def __init__(self, session: Session, model: Model, voice: Callable[[int], VoiceActivity]) -> None:
        """Begins with the server finding turns, where voice activity can be had.

        Args:
            session: its first settings.
            model: the student.
            voice: makes what tells speech from the rest, for a rate; may raise PotstillError.
        """
        self._model, self._voice = model, voice
        try:
            self._hearing = Hearing(model, session.format, Detection(), voice)
            session = replace(session, detection=Detection())
        except PotstillError:
            self._hearing = Hearing(model, session.format, None, voice)
        self._session = session
        self._items: OrderedDict[str, Json] = OrderedDict()
        self._predictions: dict[str, Prediction] = {}
        self._next_item = ""

    def greeting(self) -> list[Json]:
        """What a client is told first."""
        return [telling.event("session.created", session=self._shown())]

    def hear(self, said: Any) -> list[Json]:
        """The answer to one event of the client; what is wrong with it is an answer too."""
        event_id = said.get("event_id") if isinstance(said, dict) else None
        try:
            if not isinstance(said, dict) or not isinstance(said.get("type"), str):
                raise invalid("An event is an object with a 'type'.", "type", "invalid_event")
            return self._answer(said["type"], said)
        except ApiError as error:
            return [telling.error(error, event_id)]
        except PotstillError as error:
            return [telling.error(invalid(str(error)), event_id)]

    def _answer(self, kind: str, said: Json) -> list[Json]:
        handlers: dict[str, Callable[[Json], list[Json]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.delete": self._delete,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }
        if kind in UNSERVED:
            raise invalid(f"'{kind}' is about sound of the model, and this student speaks none.", "type", "unsupported")
        if kind not in handlers:
            raise invalid(f"Invalid value: '{kind[:100]}' is no event of a client.", "type", "invalid_value")
        return handlers[kind](said)

    def configure(self, wish: Any) -> None:
        """Changes the settings, as `session.update` does.

        Raises:
            ApiError: 400: what this student can't do; nothing is changed then.
        """
        session = updated(self._session, wish)
        if (session.format, session.detection) != (self._session.format, self._session.detection):
            self._hearing = Hearing(self._model, session.format, session.detection, self._voice)
        self._session = session

    def _update(self, said: Json) -> list[Json]:
        self.configure(said.get("session"))
        return [telling.event("session.updated", session=self._shown())]

    def _append(self, said: Json) -> list[Json]:
        audio = said.get("audio")
        if not isinstance(audio, str):
            raise invalid("'audio' is sound in base64.", "audio", "invalid_audio")
        events: list[Json] = []
        for heard in self._hearing.feed(decode_samples(audio, self._session.format)):
            if isinstance(heard, Began):
                self._next_item = new_id("item_")
                events.append(telling.speech_started(heard, self._next_item))
                continue
            item, self._next_item = self._next_item or new_id("item_"), ""
            events.append(telling.speech_stopped(heard, item))
            wants = self._session.detection is not None and self._session.detection.create_response
            events += self._said(heard, item, wants_response=wants and self._session.kind == "realtime")
        return events

    def _commit(self, _: Json) -> list[Json]:
        id, self._next_item = self._next_item or new_id("item_"), ""
        return self._said(self._hearing.commit(), id, wants_response=False)

    def _clear(self, _: Json) -> list[Json]:
        self._hearing.clear()
        self._next_item = ""
        return [telling.event("input_audio_buffer.cleared")]

    def _said(self, heard: Utterance, id: str, *, wants_response: bool) -> list[Json]:
        """An utterance becomes an item, is written down where that was asked for, and answered."""
        before = self._last
        text = said_text(heard.prediction)
        item = telling.user_item(id, text if self._session.transcribes else None)
        self._keep(item, heard.prediction)
        events = [telling.event("input_audio_buffer.committed", previous_item_id=before, item_id=id)]
        events += telling.item_events(item, before)
        if self._session.transcribes:
            logprobs = telling.logprobs(text, heard.prediction) if self._session.wants_logprobs else None
            events += telling.transcription(id, text, heard.end_s - heard.start_s, logprobs)
        return events + (self._respond({}) if wants_response else [])

    def _create(self, said: Json) -> list[Json]:
        """An item of the client: turns of text are kept, and sound is heard."""
        item = said.get("item")
        if not isinstance(item, dict) or item.get("type") != "message" or not isinstance(item.get("content"), list):
            raise invalid("'item' is a message with a list as 'content'.", "item", "invalid_value")
        if not all(isinstance(part, dict) for part in item["content"]):
            raise invalid("'content' is a list of objects.", "item.content", "invalid_value")
        audio = [part["audio"] for part in item["content"] if part.get("audio")]
        before = self._last
        kept: Json = {**item, "id": str(item.get("id") or new_id("item_")), "object": "realtime.item"}
        kept["status"] = "completed"
        # Events hold no sound; whoever sent it has it.
        kept["content"] = [{name: value for name, value in part.items() if name != "audio"} for part in item["content"]]
        heard: Prediction | None = None
        if audio:
            hearing = Hearing(self._model, self._session.format, None, self._voice)
            for part in audio:
                hearing.feed(decode_samples(str(part), self._session.format))
            heard = hearing.commit().prediction
        self._keep(kept, heard)
        return telling.item_events(kept, before)

    def _retrieve(self, said: Json) -> list[Json]:
        return [telling.event("conversation.item.retrieved", item=self._find(said.get("item_id")))]

    def _delete(self, said: Json) -> list[Json]:
        item = self._find(said.get("item_id"))
        del self._items[item["id"]]
        self._predictions.pop(item["id"], None)
        return [telling.event("conversation.item.deleted", item_id=item["id"])]

    def _cancel(self, _: Json) -> list[Json]:
        # A student has answered before anybody can take it back.
        raise invalid("Cancellation failed: no active response found", code="response_cancel_not_active")

    def _respond(self, _: Json) -> list[Json]:
        """The student's answer to the last thing that it heard."""
        if self._session.kind == "transcription":
            raise invalid("A session of type 'transcription' answers nothing.", "type", "invalid_value")
        heard = next((id for id in reversed(self._items) if id in self._predictions), None)
        if heard is None:
            raise invalid("This student answers what it hears, and it has heard nothing yet.", code="nothing_heard")
        prediction, id = self._predictions[heard], new_id("item_")
        events, item = telling.response(id, self._last, said_text(prediction), prediction)
        self._keep(item, None)
        return events

    @property
    def _last(self) -> str | None:
        """The newest item."""
        return next(reversed(self._items), None)

    def _keep(self, item: Json, prediction: Prediction | None) -> None:
        self._items[item["id"]] = item
        if prediction is not None:
            self._predictions[item["id"]] = prediction
        while len(self._items) > MOST_ITEMS:
            old, _ = self._items.popitem(last=False)
            self._predictions.pop(old, None)

    def _find(self, id: Any) -> Json:
        if not isinstance(id, str) or id not in self._items:
            raise invalid(f"There is no item {str(id)[:100]!r}.", "item_id", "item_not_found")
        return self._items[id]

    def _shown(self) -> Json:
        return self._session.to_json(self._hearing.lead_ms)


def said_text(prediction: Prediction) -> str:
    """A prediction as text: the class, or JSON where there are several."""
    return prediction.label if isinstance(prediction.label, str) else json.dumps(prediction.label, ensure_ascii=False)
