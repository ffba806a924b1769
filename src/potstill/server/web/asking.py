"""Asks several models the same, side by side; nothing of it is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from potstill.errors import PotstillError
from potstill.server.answerers import find_answerer
from potstill.server.web.views.playground import Answer
from potstill.server.web.visit import Visit

MAX_ANSWER = 20_000


async def asked_models(visit: Visit, *, student: str, base: str) -> dict[str, str]:
    """Role and model of those that can be asked: the teacher of the latest stored row, the base where it answers."""
    teachers = visit.call.services.teachers
    found = {}
    named = [name for name in teachers.settings if teachers.find(name) is not None]
    if named:
        found["teacher"] = named[0]
    if base and teachers.find(base) is not None:
        found["base"] = base
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
