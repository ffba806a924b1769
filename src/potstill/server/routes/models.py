"""/v1/models: the teachers of this server and the students of the project."""

from __future__ import annotations

import shutil
from typing import Any

from sqlalchemy import Connection, Row, delete, select
from starlette.concurrency import run_in_threadpool

from potstill.server.database.tables import job_checkpoints, models
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import forbidden, no_such_model
from potstill.server.jobs.bases import BASES, base_object
from potstill.server.models import find_model, model_object
from potstill.server.models.registry import checkpoints_of
from potstill.server.settings import ANY_MODEL

FOLDER_OF_CHECKPOINTS = "checkpoints"
"""In the folder of a run; one bundle lies there for each checkpoint besides the student itself."""


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
    """Deletes a student with its checkpoints; its bundle stays in the folder of its job, theirs go."""
    id = call.path("model")
    if not id.startswith("ft:"):
        if id not in call.services.voices and call.services.teachers.find(id) is None:
            raise no_such_model(id)
        raise forbidden("Teachers and voices are named when the server starts; only students (ft:...) can be deleted.")

    def change(connection: Connection) -> tuple[list[Row[Any]], set[str]]:
        gone = [find_model(connection, call.project, id), *checkpoints_of(connection, call.project, id)]
        connection.execute(delete(models).where(models.c.seq.in_([row.seq for row in gone])))
        connection.execute(delete(job_checkpoints).where(job_checkpoints.c.model.in_([row.id for row in gone])))
        return gone, set(connection.execute(select(models.c.folder)).scalars())

    gone, kept = await call.services.database.write(change)
    for row in gone:
        call.services.students.forget(call.project, row.id)
        folder = call.services.settings.data / row.folder
        if row.folder not in kept and folder.parent.name == FOLDER_OF_CHECKPOINTS:
            await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
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
