"""Asks teacher, base and student the same, side by side; nothing of it is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.concurrency import run_in_threadpool

from potstill.errors import PotstillError
from potstill.server.answerers import Answerer, find_answerer
from potstill.server.chat import count_tokens
from potstill.server.completions import request_of
from potstill.server.database.tables import completions
from potstill.server.settings import ANY_MODEL
from potstill.server.web.views.playground import Answer
from potstill.server.web.visit import Visit

MAX_ANSWER = 20_000
Json = dict[str, Any]


async def ask_all(visit: Visit, *, student: str, base: str, prompt: str) -> Sequence[Answer]:
    """Answers of whoever taught last, of the base where it answers, and of the student, asked at the same time."""
    services, project = visit.call.services, visit.call.project

    def read(connection: Connection) -> Row[Any] | None:
        is_taught = (completions.c.project == project) & completions.c.model.not_like("ft:%")
        return connection.execute(
            select(completions).where(is_taught).order_by(completions.c.seq.desc()).limit(1)
        ).first()

    taught = await services.database.read(read)
    request = await run_in_threadpool(request_of, taught, services.blobs) if taught else {}
    named = [name for name in services.teachers.settings if name != ANY_MODEL]
    teacher = taught.model if taught else (named[0] if named else "")
    wanted = [
        (role, model)
        for role, model in (("teacher", teacher), ("base", base))
        if model and services.teachers.find(model) is not None
    ]
    body = as_taught(request, prompt)
    asked = [_ask(visit, role, {**body, "model": model}) for role, model in wanted]
    own_base = await services.students.base_of(project, student) if student else None
    if own_base is not None:
        asked.append(_time(visit, "base", base or "base", own_base, {**body, "model": "base"}))
    if student:
        asked.append(_ask(visit, "student", {"model": student, "messages": [{"role": "user", "content": prompt}]}))
    return await asyncio.gather(*asked)


def as_taught(request: Json, prompt: str) -> Json:
    """A prompt in the place of the last message of a stored request, under the same instructions and schema."""
    said = [message for message in request.get("messages", ()) if message.get("role") in ("system", "developer")]
    options = {name: request[name] for name in ("response_format", "temperature") if request.get(name) is not None}
    return {**options, "messages": [*said, {"role": "user", "content": prompt}]}


async def _ask(visit: Visit, role: str, body: Json) -> Answer:
    try:
        answerer = await find_answerer(visit.call.services, visit.call.project, body["model"])
    except PotstillError as error:
        return Answer(role=role, model=body["model"], problem=str(error))
    return await _time(visit, role, body["model"], answerer, body)


async def _time(visit: Visit, role: str, model: str, answerer: Answerer, body: Json) -> Answer:
    try:
        started = time.perf_counter()
        found = await answerer.complete(body)
    except PotstillError as error:
        return Answer(role=role, model=model, problem=str(error))
    took = 1000 * (time.perf_counter() - started)
    count_tokens(visit.call.services, visit.call.key, model, answerer.name, found.get("usage"))
    text = str(found["choices"][0]["message"].get("content") or "")[:MAX_ANSWER]
    return Answer(role=role, model=model, text=text, milliseconds=took)
