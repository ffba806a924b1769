"""Asks several models the same, side by side; nothing of it is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from potstill.errors import PotstillError
from potstill.server.answerers import find_answerer
from potstill.server.database.tables import completions
from potstill.server.settings import ANY_MODEL
from potstill.server.web.views.playground import Answer
from potstill.server.web.visit import Visit

MAX_ANSWER = 20_000


async def asked_models(visit: Visit, *, student: str, base: str) -> dict[str, str]:
    """Role and model of those that can be asked: whoever taught last, the base where it answers, the student."""
    services = visit.call.services
    is_taught = (completions.c.project == visit.call.project) & completions.c.model.not_like("ft:%")
    query = select(completions.c.model).where(is_taught).order_by(completions.c.seq.desc()).limit(1)
    taught = await services.database.read(lambda connection: connection.scalar(query))
    named = [name for name in services.teachers.settings if name != ANY_MODEL]
    found = {}
    for role, model in (("teacher", taught or (named[0] if named else "")), ("base", base)):
        if model and services.teachers.find(model) is not None:
            found[role] = model
    if student:
        found["student"] = student
    return found


async def ask_all(visit: Visit, models: Mapping[str, str], prompt: str) -> Sequence[Answer]:
    """Their answers, asked at the same time."""
    return await asyncio.gather(*(_ask(visit, role, model, prompt) for role, model in models.items()))


async def _ask(visit: Visit, role: str, model: str, prompt: str) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    try:
        answerer = await find_answerer(visit.call.services, visit.call.project, model)
        started = time.perf_counter()
        found = await answerer.complete(body)
    except PotstillError as error:
        return Answer(role=role, model=model, problem=str(error))
    took = 1000 * (time.perf_counter() - started)
    text = str(found["choices"][0]["message"].get("content") or "")[:MAX_ANSWER]
    return Answer(role=role, model=model, text=text, milliseconds=took)
