"""Which students a project has, and the bundles that were loaded last."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.concurrency import run_in_threadpool

from potstill.runtime.generating import open_bundle
from potstill.runtime.model import load
from potstill.server.compiling import Task
from potstill.server.database import Database
from potstill.server.database.tables import models
from potstill.server.errors import no_such_model
from potstill.server.ids import next_seq, now
from potstill.server.models.student import Student
from potstill.server.remote_pictures import RemotePictures
from potstill.server.writing import Engines, ModelFile, Writer, open_writer

CLASSIFIER, WRITER = "classifier", "writer"
MAX_LOADED = 16
CHECKPOINT = ":ckpt-step-"
"""Between the name of a student and the step of one of its checkpoints."""


def add_model(
    connection: Connection, project: str, id: str, *, base: str, folder: str, task: Task, kind: str = CLASSIFIER
) -> None:
    """Makes a bundle known as a student.

    Args:
        connection: of a change.
        project: that it belongs to.
        id: `ft:BASE:ORGANISATION:SUFFIX:ID`.
        base: what it was trained from.
        folder: of the bundle, relative to the data folder.
        task: how it reads and writes.
        kind: who answers.
    """
    # Not the canonical form: an answer keeps the order of its keys.
    row = {"seq": next_seq(), "project": project, "id": id, "created_at": now(), "base": base, "kind": kind}
    connection.execute(models.insert(), {**row, "folder": folder, "template": json.dumps(task.to_json()).encode()})


def find_model(connection: Connection, project: str, id: str) -> Row[Any]:
    """The row of one.

    Raises:
        ApiError: 404: unknown, or another project's.
    """
    row = connection.execute(select(models).where(models.c.project == project, models.c.id == id)).first()
    if row is None:
        raise no_such_model(id)
    return row


def checkpoints_of(connection: Connection, project: str, id: str) -> list[Row[Any]]:
    """The rows of a student's checkpoints."""
    own = models.c.id.startswith(id + CHECKPOINT, autoescape=True)
    return list(connection.execute(select(models).where(models.c.project == project, own)))


def model_object(row: Any) -> dict[str, Any]:
    """A row as the API shows it."""
    return {"id": row.id, "object": "model", "created": row.created_at, "owned_by": row.project}


class Students:
    """Loads a bundle when its student is asked first, and keeps the last few."""

    def __init__(self, database: Database, data: Path, engines: Engines, pictures: RemotePictures) -> None:
        self._database = database
        self._data = data
        self._engines = engines
        self._pictures = pictures
        self._loaded: OrderedDict[tuple[str, str], Student | Writer] = OrderedDict()
        self._lock = asyncio.Lock()

    async def find(self, project: str, id: str) -> Student | Writer:
        """A student that is ready to answer.

        Raises:
            ApiError: 404.
            BundleError: its bundle is damaged.
        """
        key = (project, id)
        if key in self._loaded:
            self._loaded.move_to_end(key)
            return self._loaded[key]
        row = await self._database.read(lambda connection: find_model(connection, project, id))
        async with self._lock:
            if key not in self._loaded:
                self._loaded[key] = await run_in_threadpool(self._load, row)
                while len(self._loaded) > MAX_LOADED:
                    self._loaded.popitem(last=False)
        return self._loaded[key]

    async def base_of(self, project: str, id: str) -> Writer | None:
        """The model that a student which writes was cut from, where it lies here for llama.cpp."""
        row = await self._database.read(lambda connection: find_model(connection, project, id))
        path = json.loads(row.template).get("base_gguf") if row.kind == WRITER else None
        if not path or not Path(path).is_file():
            return None
        return Writer("base", ModelFile(gguf=Path(path)), self._engines)

    def forget(self, project: str, id: str) -> None:
        """After its deletion."""
        self._loaded.pop((project, id), None)

    def _load(self, row: Row[Any]) -> Student | Writer:
        if row.kind == WRITER:
            return open_writer("student", open_bundle(self._data / row.folder), self._engines)
        task = Task.from_json(json.loads(row.template))
        return Student(row.id, load(self._data / row.folder), task, pictures=self._pictures)
