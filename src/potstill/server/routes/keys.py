"""/v1/potstill/keys: an administrator's keys for projects."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from potstill.server.auth import add_key, new_secret
from potstill.server.database.tables import keys
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid, not_found
from potstill.server.ids import now

SHOWN = (
    "id",
    "project",
    "name",
    "hint",
    "is_admin",
    "may_store",
    "retention_s",
    "created_at",
    "expires_at",
    "revoked_at",
)


class Create(msgspec.Struct):
    """What the key may do."""

    project: str
    name: str
    may_store: bool = True
    retention_s: int | None = None
    expires_at: int | None = None
    is_admin: bool = False


async def create(call: Call) -> dict[str, Any]:
    """Makes a key; this answer is the only place where it ever stands."""
    body: Create = call.body
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", body.project):
        raise invalid("Invalid 'project': expected up to 64 letters, digits, '_', '.' and '-'.", "project")
    if body.retention_s is not None and body.retention_s <= 0:
        raise invalid("Invalid 'retention_s': expected a number over 0.", "retention_s")
    secret = new_secret()
    options: dict[str, Any] = {"may_store": body.may_store, "retention_s": body.retention_s, "is_admin": body.is_admin}
    options |= {"project": body.project, "name": body.name[:200], "expires_at": body.expires_at}
    made = await call.services.database.write(lambda connection: add_key(connection, secret, **options))
    call.services.keyring.load()
    return {"object": "potstill.key", "id": made.id, "key": secret, **options}


async def list_all(call: Call) -> dict[str, Any]:
    """All keys of all projects, without what opens anything."""
    query = select(*(keys.c[name] for name in SHOWN)).order_by(keys.c.created_at, keys.c.id)
    rows = await call.services.database.read(lambda connection: connection.execute(query).mappings().all())
    return {"object": "list", "data": [{"object": "potstill.key", **row} for row in rows]}


async def revoke(call: Call) -> dict[str, Any]:
    """Ends a key: the next request with it is refused."""
    id = call.path("key_id")

    def change(connection: Connection) -> None:
        found = connection.execute(update(keys).where(keys.c.id == id).values(revoked_at=now()))
        if not found.rowcount:
            raise not_found("key", id)

    await call.services.database.write(change)
    call.services.keyring.load()
    return {"object": "potstill.key", "id": id, "deleted": True}


PATH = "/v1/potstill/keys"
ENDPOINTS = (
    Endpoint(
        method="POST", path=PATH, policy=Policy.ADMIN, handler=create, body=Create, doc=Doc(answer="potstill.key")
    ),
    Endpoint(method="GET", path=PATH, policy=Policy.ADMIN, handler=list_all, doc=Doc(answer="list of potstill.key")),
    Endpoint(
        method="DELETE", path=PATH + "/{key_id}", policy=Policy.ADMIN, handler=revoke, doc=Doc(answer="potstill.key")
    ),
)
