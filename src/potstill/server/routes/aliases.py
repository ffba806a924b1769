"""/v1/potstill/aliases: old names of models, and what took their place."""

from __future__ import annotations

from typing import Any

import msgspec

from potstill.server.answerers import find_answerer
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import not_found

PATH = "/v1/potstill/aliases"


class Put(msgspec.Struct):
    """Name -> model that answers for it."""

    aliases: dict[str, str]


async def put(call: Call) -> dict[str, Any]:
    """Adds or replaces names; a target that nobody answers for is refused."""
    for target in set(call.body.aliases.values()):
        await find_answerer(call.services, call.project, target)
    await call.services.aliases.put(call.project, call.body.aliases)
    return await list_all(call)


async def list_all(call: Call) -> dict[str, Any]:
    """All of the project."""
    return {"object": "potstill.aliases", "aliases": call.services.aliases.of_project(call.project)}


async def remove(call: Call) -> dict[str, Any]:
    """Forgets one."""
    name = call.path("name")
    if not await call.services.aliases.remove(call.project, name):
        raise not_found("alias", name, "name")
    return {"object": "potstill.alias", "name": name, "deleted": True}


ENDPOINTS = (
    Endpoint(
        method="POST", path=PATH, policy=Policy.PROJECT, handler=put, body=Put, doc=Doc(answer="potstill.aliases")
    ),
    Endpoint(method="GET", path=PATH, policy=Policy.PROJECT, handler=list_all, doc=Doc(answer="potstill.aliases")),
    Endpoint(
        method="DELETE",
        path=PATH + "/{name:path}",
        policy=Policy.PROJECT,
        handler=remove,
        doc=Doc(answer="potstill.alias"),
    ),
)
