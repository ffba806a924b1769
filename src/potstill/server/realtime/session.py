"""What a client sets, checked, and the session as the API shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, final

from potstill.server.answerers import Json
from potstill.server.errors import invalid
from potstill.server.realtime.sounds import RATES

LOGPROBS = "item.input_audio_transcription.logprobs"
LONGEST_S = 3600
SILENCE_MS, THRESHOLD = 500, 0.5


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """How the end of an utterance is found.

    Attributes:
        threshold: probability of speech above which it begins.
        silence_ms: of quiet that ends it.
        create_response: whether the student answers without being asked to.
    """

    threshold: float = THRESHOLD
    silence_ms: int = SILENCE_MS
    create_response: bool = True


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Settings of one connection.

    Attributes:
        id: of the session.
        model: the student's name.
        kind: `realtime` answers, `transcription` writes down alone.
        expires_at: Unix time.
        format: of the sound that comes in.
        detection: None: the client says when an utterance ends.
        transcribes: whether the events of a transcription are sent.
        wants_logprobs: whether these hold the probability.
        instructions: kept and shown; a student that hears follows none.
    """

    id: str
    model: str
    kind: Literal["realtime", "transcription"] = "realtime"
    expires_at: int = 0
    format: str = "audio/pcm"
    detection: Detection | None = None
    transcribes: bool = False
    wants_logprobs: bool = False
    instructions: str = ""

    def to_json(self, lead_ms: int) -> Json:
        """The session as the API shows it.

        Args:
            lead_ms: what the student hears before a voice; it is the student's, whatever a client asks for.
        """
        kind = {"type": self.format} | ({"rate": RATES[self.format]} if self.format == "audio/pcm" else {})
        heard: Json = {"format": kind, "turn_detection": self._detection_json(lead_ms)}
        # The published form has no null where nothing is written down.
        heard |= {"transcription": {"model": self.model}} if self.transcribes else {}
        include = {"include": [LOGPROBS]} if self.wants_logprobs else {}
        base: Json = {"type": self.kind, "id": self.id, "expires_at": self.expires_at, **include}
        if self.kind == "transcription":
            return {**base, "object": "realtime.transcription_session", "audio": {"input": heard}}
        return {
            **base,
            "object": "realtime.session",
            "model": self.model,
            "output_modalities": ["text"],
            "instructions": self.instructions,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "audio": {"input": heard},
        }

    def _detection_json(self, lead_ms: int) -> Json | None:
        if self.detection is None:
            return None
        found: Json = {
            "type": "server_vad",
            "threshold": self.detection.threshold,
            "prefix_padding_ms": lead_ms,
            "silence_duration_ms": self.detection.silence_ms,
        }
        if self.kind == "realtime":
            found |= {"create_response": self.detection.create_response, "interrupt_response": True}
        return found


def updated(session: Session, wish: Any) -> Session:
    """The session after `session.update`.

    Raises:
        ApiError: 400: what a student that hears can't do; nothing is changed then.
    """
    if not isinstance(wish, dict) or wish.get("type") not in ("realtime", "transcription"):
        raise invalid("'session.type' is 'realtime' or 'transcription'.", "session.type", "invalid_value")
    if "model" in wish and wish["model"] != session.model:
        raise invalid("The model of a session stays; connect again for another one.", "session.model")
    if "audio" in _listed(wish, "output_modalities"):
        raise invalid(
            "This student hears and doesn't speak. Ask for output_modalities ['text'].",
            "session.output_modalities",
            "unsupported_modality",
        )
    if wish.get("tools"):
        raise invalid("This student calls no tools.", "session.tools", "unsupported_tools")
    heard = _part(_part(wish, "audio"), "input")
    found = replace(session, kind=wish["type"], instructions=str(wish.get("instructions", session.instructions)))
    if "format" in heard:
        found = replace(found, format=_format(heard["format"]))
    if "turn_detection" in heard:
        found = replace(found, detection=_detection(heard["turn_detection"]))
    if "transcription" in heard:
        found = replace(found, transcribes=heard["transcription"] is not None)
    if "include" in wish:
        found = replace(found, wants_logprobs=LOGPROBS in _listed(wish, "include"))
    # Writing down is all that such a session does.
    return replace(found, transcribes=True) if found.kind == "transcription" else found


def _part(wish: Json, name: str) -> Json:
    found = {} if wish.get(name) is None else wish[name]
    if not isinstance(found, dict):
        raise invalid(f"'{name}' is an object.", f"session.{name}", "invalid_type")
    return found


def _listed(wish: Json, name: str) -> list[Any]:
    found = [] if wish.get(name) is None else wish[name]
    if not isinstance(found, list):
        raise invalid(f"'{name}' is a list.", f"session.{name}", "invalid_type")
    return found


def _format(wish: Any) -> str:
    kind = wish.get("type") if isinstance(wish, dict) else None
    if kind not in RATES or (kind == "audio/pcm" and wish.get("rate", RATES[kind]) != RATES[kind]):
        raise invalid(
            "Sound is taken as audio/pcm at 24,000 Hz, audio/pcmu or audio/pcma.",
            "session.audio.input.format",
            "invalid_value",
        )
    return str(kind)


def _detection(wish: Any) -> Detection | None:
    if wish is None:
        return None
    place = "session.audio.input.turn_detection"
    if not isinstance(wish, dict) or wish.get("type") != "server_vad":
        raise invalid("Turns are found by 'server_vad', or by the client where it is null.", place, "invalid_value")
    threshold, silence = wish.get("threshold", THRESHOLD), wish.get("silence_duration_ms", SILENCE_MS)
    if not isinstance(threshold, int | float) or not 0 < threshold < 1:
        raise invalid("'threshold' is a number between 0 and 1.", place + ".threshold", "invalid_value")
    if not isinstance(silence, int) or not 30 <= silence <= 10_000:
        raise invalid("'silence_duration_ms' is 30 to 10,000.", place + ".silence_duration_ms", "invalid_value")
    return Detection(
        threshold=float(threshold), silence_ms=silence, create_response=bool(wish.get("create_response", True))
    )
