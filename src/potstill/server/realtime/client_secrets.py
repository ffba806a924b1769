"""Secrets that a server hands to its clients: for some minutes, for the realtime API alone, and for one model."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from sqlalchemy import Connection, delete, select

from potstill.server.answerers import Json
from potstill.server.auth import Key
from potstill.server.database.tables import client_secrets
from potstill.server.errors import unauthorized
from potstill.server.ids import base62, now

if TYPE_CHECKING:
    from potstill.server.services import Services

PREFIX = "ek_"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """What a secret opens.

    Attributes:
        key: that it was made with; once that is revoked, the secret opens nothing.
        model: the student that may be talked to.
        session: settings that a session starts with, as they were wished.
    """

    key: Key
    model: str
    session: Json


async def make_secret(services: Services, grant: Grant, expires_at: int) -> str:
    """A new secret; only its hash is kept. Those that ended are forgotten."""
    secret = PREFIX + base62(secrets.randbits(256), 43)
    row = {"hash": _hash(secret), "key_id": grant.key.id, "model": grant.model, "expires_at": expires_at}
    row["session"] = json.dumps(grant.session)

    def change(connection: Connection) -> None:
        connection.execute(delete(client_secrets).where(client_secrets.c.expires_at <= now()))
        connection.execute(client_secrets.insert(), row)

    await services.database.write(change)
    return secret


async def find_grant(services: Services, secret: str) -> Grant:
    """What a secret opens now.

    Raises:
        ApiError: 401: unknown, expired, or made with a key that was revoked.
    """
    query = select(client_secrets).where(client_secrets.c.hash == _hash(secret), client_secrets.c.expires_at > now())
    row = await services.database.read(lambda connection: connection.execute(query).first())
    key = services.keyring.named(row.key_id) if row is not None else None
    if row is None or key is None:
        raise unauthorized(
            "This client secret is unknown or has expired. Ask your server for a new one; it makes them with POST "
            "/v1/realtime/client_secrets."
        )
    return Grant(key=key, model=row.model, session=json.loads(row.session))


def _hash(secret: str) -> str:
    return hashlib.sha256(b"client secret:" + secret.encode()).hexdigest()
