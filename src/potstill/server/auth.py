"""Keys: 256 random bits with a checksum, known to the server by their SHA-256 only, each for one project."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import Connection, select, update
from starlette.requests import HTTPConnection

from potstill.server.database import Database
from potstill.server.database.tables import keys, projects
from potstill.server.errors import unauthorized
from potstill.server.ids import base62, new_id, now

PREFIX = "sk-pot-"
DEFAULT_PROJECT = "default"
START_KEY = "made at start"
NUM_START_KEYS = 8
"""Keys of earlier starts that stay valid, so that a restart doesn't lock anybody out."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What a valid key opens.

    Attributes:
        id: names it in lists; it is no secret.
        project: everything that is made or seen with it belongs there.
        is_admin: may make keys and see what concerns the whole server.
        may_store: False: nothing that is sent with it is kept.
        retention_s: after which its stored completions are deleted; None: never.
        expires_at: Unix time; None: never.
    """

    id: str
    project: str
    name: str
    is_admin: bool = False
    may_store: bool = True
    retention_s: int | None = None
    expires_at: int | None = None


def new_secret() -> str:
    """A key as its owner sees it, once."""
    body = base62(secrets.randbits(256), 43)
    return PREFIX + body + checksum(body)


def checksum(body: str) -> str:
    """Six digits that tell a mistyped key from an unknown one, and let scanners of secrets find ours."""
    return base62(zlib.crc32(body.encode()), 6)


def is_well_formed(secret: str) -> bool:
    """Whether it can be a key at all."""
    body = secret[len(PREFIX) : -6]
    return secret.startswith(PREFIX) and len(body) == 43 and secret.isascii() and checksum(body) == secret[-6:]


def hash_of(secret: str) -> str:
    """What is kept of a key. The key is random, so no salt and no slow hash are needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Keyring:
    """The valid keys of all projects."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[str, Key] = {}
        self.load()

    def load(self) -> None:
        """Reads them again, after a change."""
        self._keys = self._database.read_now(_valid_keys)

    def named(self, id: str) -> Key | None:
        """The key of that id, None when it is not valid any more."""
        key = next((each for each in self._keys.values() if each.id == id), None)
        return key if key is not None and (key.expires_at is None or key.expires_at > now()) else None

    def find(self, connection: HTTPConnection) -> Key:
        """The key that a request was sent with.

        Raises:
            ApiError: 401.
        """
        scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise unauthorized(
                "You didn't provide an API key. Send the key that `potstill serve` printed in an Authorization header, "
                "'Authorization: Bearer KEY', or as api_key of the SDK.",
                "missing_api_key",
            )
        return self.check(secret.strip())

    def check(self, secret: str) -> Key:
        """The key with this secret.

        Raises:
            ApiError: 401; the message doesn't repeat the secret.
        """
        # A stranger's text is hashed before it is compared, so the time taken tells nothing about valid keys.
        key = self._keys.get(hash_of(secret)) if is_well_formed(secret) else None
        if key is None or (key.expires_at is not None and key.expires_at <= now()):
            raise unauthorized("Incorrect API key provided: it is unknown, revoked or expired.")
        return key


def add_key(connection: Connection, secret: str, *, project: str, name: str, **options: Any) -> Key:
    """Keeps the hash of a new key, and its project where that is new."""
    if connection.execute(select(projects.c.id).where(projects.c.id == project)).first() is None:
        connection.execute(projects.insert(), {"id": project, "name": project, "created_at": now()})
    key = Key(id=new_id("key_"), project=project, name=name, **options)
    row = {"hash": hash_of(secret), "hint": secret[-4:], "created_at": now()}
    row |= {field: getattr(key, field) for field in Key.__dataclass_fields__}
    connection.execute(keys.insert(), row)
    return key


def add_start_key(connection: Connection, secret: str) -> Key:
    """The administrator's key of this start; those of long ago end."""
    query = select(keys.c.id).where(keys.c.name == START_KEY, keys.c.revoked_at.is_(None))
    old = connection.scalars(query.order_by(keys.c.created_at.desc()).offset(NUM_START_KEYS - 1)).all()
    connection.execute(update(keys).where(keys.c.id.in_(old)).values(revoked_at=now()))
    return add_key(connection, secret, project=DEFAULT_PROJECT, name=START_KEY, is_admin=True)


def _valid_keys(connection: Connection) -> dict[str, Key]:
    names = tuple(Key.__dataclass_fields__)
    query = select(keys.c.hash, *(keys.c[name] for name in names)).where(keys.c.revoked_at.is_(None))
    return {row.hash: Key(**{name: getattr(row, name) for name in names}) for row in connection.execute(query)}
