"""The WebSocket /v1/realtime."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import final

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from potstill.runtime.listening import SileroVoice
from potstill.server.answerers import Json
from potstill.server.endpoint import refuse
from potstill.server.errors import ApiError, forbidden, invalid, not_found
from potstill.server.ids import new_id, now
from potstill.server.log import log, log_failure
from potstill.server.realtime import telling
from potstill.server.realtime.client_secrets import PREFIX, Grant, find_grant
from potstill.server.realtime.session import LONGEST_S, Session
from potstill.server.realtime.talk import Talk
from potstill.server.services import Services

PATH = "/v1/realtime"
MAX_EVENT_BYTES = 16 << 20
MOST_SESSIONS = 64
PROTOCOL, KEY_PROTOCOL = "realtime", "openai-insecure-api-key."


@final
@dataclass(slots=True)
class Realtime:
    """The ASGI application of the path."""

    services: Services
    num_open: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one connection; a refusal before it is open has a status and OpenAI's error body."""
        socket = WebSocket(scope, receive, send)
        try:
            grant = await self._grant(socket)
            talk = await self._open(socket, grant)
        except ApiError as error:
            await refuse(error, scope, receive, send)
            return
        self.num_open += 1
        log("realtime began", project=grant.key.project)
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
            async with asyncio.timeout(LONGEST_S):
                await _converse(socket, talk)
        except TimeoutError:
            expired = invalid("Your session hit the maximum duration of 60 minutes.", code="session_expired")
            await _send(socket, [telling.error(expired, None)])
            await socket.close(1001)
        except WebSocketDisconnect:
            pass  # how every conversation ends
        except Exception as error:
            log_failure("unexpected", error, route=PATH)
            await socket.close(1011)
        finally:
            self.num_open -= 1

    async def _grant(self, socket: WebSocket) -> Grant:
        """What the key or the client's secret opens; it stands in the header, or in the protocol's name for a browser.

        Raises:
            ApiError: 401.
        """
        name = socket.query_params.get("model", "")
        named = [p for p in socket.scope.get("subprotocols", ()) if p.startswith(KEY_PROTOCOL)]
        if named and "authorization" not in socket.headers:
            secret = named[0].removeprefix(KEY_PROTOCOL)
        else:
            secret = socket.headers.get("authorization", "").partition(" ")[2].strip()
            if not secret.startswith(PREFIX):
                return Grant(key=self.services.keyring.find(socket), model=name, session={})
        if not secret.startswith(PREFIX):
            return Grant(key=self.services.keyring.check(secret), model=name, session={})
        grant = await find_grant(self.services, secret)
        if name not in ("", grant.model):
            raise forbidden(f"This client secret is for the model '{grant.model}'.", "wrong_model")
        return grant

    async def _open(self, socket: WebSocket, grant: Grant) -> Talk:
        if "realtime=v1" in socket.headers.get("openai-beta", ""):
            raise invalid("The beta form of the realtime API is not served.", code="beta_api_shape_disabled")
        if "call_id" in socket.query_params:
            raise not_found("call", socket.query_params["call_id"], "call_id")
        name = grant.model
        model = self.services.voices.find(name)
        if self.num_open >= MOST_SESSIONS:
            busy = ApiError(
                429, f"{MOST_SESSIONS} sessions are open.", kind="rate_limit_error", code="too_many_sessions"
            )
            busy.headers["retry-after"] = "5"
            raise busy
        session = Session(id=new_id("sess_"), model=name, expires_at=int(now()) + LONGEST_S)
        talk = await run_in_threadpool(Talk, session, model, SileroVoice)
        if grant.session:
            talk.configure(grant.session)
        return talk


async def _converse(socket: WebSocket, talk: Talk) -> None:
    await _send(socket, talk.greeting())
    while True:
        try:
            said = json.loads(await socket.receive_text())
        except (ValueError, KeyError, TypeError, RecursionError):  # no JSON, or bytes
            wrong = invalid("Events are sent as JSON in text frames.", code="invalid_json")
            await _send(socket, [telling.error(wrong, None)])
            continue
        # A word takes milliseconds, a buffer of minutes more: other connections go on meanwhile.
        await _send(socket, await run_in_threadpool(talk.hear, said))


async def _send(socket: WebSocket, events: list[Json]) -> None:
    for event in events:
        await socket.send_text(json.dumps(event, ensure_ascii=False))
