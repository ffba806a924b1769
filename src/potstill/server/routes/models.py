"""/v1/models: the teachers of this server and the students of the project."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select

from potstill.server.database.tables import models
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import forbidden, no_such_model
from potstill.server.jobs.bases import BASES, base_object
from potstill.server.models import find_model, model_object
from potstill.server.settings import ANY_MODEL


async def list_all(call: Call) -> dict[str, Any]:
    """Both; teachers first."""

    def find(connection: Connection) -> list[dict[str, Any]]:
        query = select(models).where(models.c.project == call.project).order_by(models.c.seq.desc())
        return [model_object(row) for row in connection.execute(query)]

    teachers = [_teacher(name) for name in call.services.teachers.settings if name != ANY_MODEL]
    bases = [base_object(name) for name in (*call.services.voices, *BASES, *call.services.settings.base_paths())]
    return {"object": "list", "data": [*teachers, *bases, *await call.services.database.read(find)]}


async def retrieve(call: Call) -> dict[str, Any]:
    """One."""
    id = call.path("model")
    if id in BASES or id in call.services.settings.base_paths() or id in call.services.voices:
        return base_object(id)
    if not id.startswith("ft:"):
        if call.services.teachers.find(id) is None:
            raise no_such_model(id)
        return _teacher(id)
    return model_object(await call.services.database.read(lambda c: find_model(c, call.project, id)))


async def remove(call: Call) -> dict[str, Any]:
    """Deletes a student; its bundle stays in the folder of its job."""
    id = call.path("model")
    if not id.startswith("ft:"):
        if id not in call.services.voices and call.services.teachers.find(id) is None:
            raise no_such_model(id)
        raise forbidden("Teachers and voices are named when the server starts; only students (ft:...) can be deleted.")

    def change(connection: Connection) -> None:
        connection.execute(delete(models).where(models.c.seq == find_model(connection, call.project, id).seq))

    await call.services.database.write(change)
    call.services.students.forget(call.project, id)
    return {"id": id, "object": "model", "deleted": True}


def _teacher(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "teacher"}


ENDPOINTS = (
    Endpoint(method="GET", path="/v1/models", policy=Policy.PROJECT, handler=list_all, doc=Doc(answer="list of model")),
    Endpoint(
        method="GET", path="/v1/models/{model:path}", policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="model")
    ),
    Endpoint(
        method="DELETE", path="/v1/models/{model:path}", policy=Policy.PROJECT, handler=remove, doc=Doc(answer="model")
    ),
)
