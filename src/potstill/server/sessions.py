"""Sessions of browsers: a random cookie that scripts can't read, in the place of a key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, select
from starlette.requests import Request

from potstill.server.auth import Key
from potstill.server.database.tables import sessions
from potstill.server.errors import forbidden, unauthorized
from potstill.server.ids import base62, now

if TYPE_CHECKING:
    from potstill.server.services import Services

COOKIE = "potstill_session"
LIFETIME_S = 7 * 24 * 3600


async def open_session(services: Services, key: Key) -> str:
    """The cookie of a new session; only its hash is kept. Sessions that ended are forgotten."""
    token = base62(secrets.randbits(256), 43)

    def change(connection: Connection) -> None:
        connection.execute(delete(sessions).where(sessions.c.expires_at <= now()))
        row = {"hash": _hash(token), "key_id": key.id, "expires_at": now() + LIFETIME_S}
        connection.execute(sessions.insert(), row)

    await services.database.write(change)
    return token


async def find_session(services: Services, request: Request) -> Key:
    """The key that a browser signed in with.

    Raises:
        ApiError: 401: nobody signed in, the session ended, or its key was revoked.
    """
    token = request.cookies.get(COOKIE, "")
    query = select(sessions.c.key_id).where(sessions.c.hash == _hash(token), sessions.c.expires_at > now())
    key_id = await services.database.read(lambda connection: connection.scalar(query)) if token else None
    key = services.keyring.named(key_id) if key_id else None
    if key is None:
        raise unauthorized("Nobody is signed in here, or the session has ended.", "no_session")
    return key


async def end_session(services: Services, request: Request) -> None:
    """Forgets it on the server, too."""
    query = delete(sessions).where(sessions.c.hash == _hash(request.cookies.get(COOKIE, "")))
    await services.database.write(lambda connection: connection.execute(query))


def form_token(request: Request) -> str:
    """What a form of this session must bring along; it can't be reckoned without the cookie."""
    return hashlib.sha256(b"form:" + request.cookies.get(COOKIE, "").encode()).hexdigest()


def check_form_token(request: Request, brought: str) -> None:
    """Refuses what another site sent.

    Raises:
        ApiError: 403.
    """
    if not hmac.compare_digest(brought.encode(), form_token(request).encode()):
        raise forbidden("This form comes from another session. Go back, load the page again and resend.", "wrong_form")


def _hash(token: str) -> str:
    return hashlib.sha256(b"session:" + token.encode()).hexdigest()
