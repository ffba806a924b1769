"""/v1/realtime/client_secrets: what a browser or an app connects with, without a key."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool

from potstill.runtime.listening import SileroVoice
from potstill.server.answerers import Json
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid
from potstill.server.ids import new_id, now
from potstill.server.realtime import Voices
from potstill.server.realtime.client_secrets import Grant, make_secret
from potstill.server.realtime.session import Session
from potstill.server.realtime.talk import Talk

SHORTEST_S, USUAL_S, LONGEST_S = 10, 600, 7200
PATH = "/v1/realtime/client_secrets"


class ExpiresAfter(msgspec.Struct):
    """When no new session can be opened any more."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = USUAL_S


class SecretRequest(msgspec.Struct):
    """Body of `realtime.client_secrets.create`."""

    expires_after: ExpiresAfter = msgspec.field(default_factory=ExpiresAfter)
    session: dict[str, Any] | None = None


async def create(call: Call) -> Json:
    """Makes a secret; sessions that are opened with it start with the settings that came along."""
    asked: SecretRequest = call.body
    seconds = asked.expires_after.seconds
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise invalid(
            f"'expires_after.seconds' is {seconds}; expected {SHORTEST_S} to {LONGEST_S}.",
            "expires_after.seconds",
            "invalid_value",
        )
    wish = {"type": "realtime", **(asked.session or {})}
    name = _model_of(wish, call.services.voices)
    model = call.services.voices.find(name)
    talk = await run_in_threadpool(Talk, Session(id=new_id("sess_"), model=name), model, SileroVoice)
    talk.configure(wish)
    expires_at = int(now()) + seconds
    value = await make_secret(call.services, Grant(key=call.key, model=name, session=wish), expires_at)
    return {"value": value, "expires_at": expires_at, "session": talk.greeting()[0]["session"]}


async def refuse_beta(call: Call) -> Json:
    """The form before client secrets, which OpenAI doesn't serve any more either; answers what to do."""
    raise invalid(
        f"The beta form of the realtime API is not served. Make a client secret with POST {PATH}.",
        code="beta_api_shape_disabled",
    )


def _model_of(wish: Json, voices: Voices) -> str:
    """The student that a session names, also as what writes down; the only one where none is named."""
    place: Any = wish
    for part in ("audio", "input", "transcription"):
        place = place.get(part) if isinstance(place, dict) else None
    heard = place.get("model") if isinstance(place, dict) else None
    only = next(iter(voices), "") if len(list(voices)) == 1 else ""
    name = wish.get("model") or (heard if wish["type"] == "transcription" else None) or only
    if not isinstance(name, str) or not name:
        raise invalid("Missing required parameter: 'session.model'.", "session.model", "missing_required_parameter")
    return name


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=PATH,
        policy=Policy.PROJECT,
        handler=create,
        body=SecretRequest,
        doc=Doc(answer="json"),
    ),
    *(
        Endpoint(method="POST", path=f"/v1/realtime/{name}", policy=Policy.PROJECT, handler=refuse_beta)
        for name in ("sessions", "transcription_sessions")
    ),
)
