"""Carries runs out on the server's own loop: asks, grades, and keeps every row as it comes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, select, update

from potstill.errors import PotstillError
from potstill.server.auth import Key
from potstill.server.chat import complete_counted
from potstill.server.database.tables import eval_items, eval_runs, evals
from potstill.server.errors import ApiError
from potstill.server.evals.sources import SourceRow, messages_for, read_rows, with_json
from potstill.server.evals.store import criterion_name
from potstill.server.graders import Grader, GraderError, Means, Subject, parse_grader
from potstill.server.ids import new_id, next_seq, now
from potstill.server.log import log_failure

if TYPE_CHECKING:
    from potstill.server.services import Services

Json = dict[str, Any]
EVALS = "evals"
"""Stands in the figures of cost where a key stands: a run goes on when whoever began it, and their key, is gone."""
NUM_AT_ONCE = 16
OPEN = ("queued", "in_progress")
SAMPLING = ("temperature", "top_p", "seed", "max_completion_tokens", "response_format", "tools", "reasoning_effort")


class Runner:
    """All runs of a server; those of a server that died are taken up with the first request for any eval."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_awake = False

    async def wake(self, services: Services) -> None:
        """Takes up what an earlier server left."""
        if self._is_awake:
            return
        self._is_awake = True
        query = select(eval_runs).where(eval_runs.c.status.in_(OPEN))
        for row in await services.database.read(lambda connection: list(connection.execute(query))):
            self.start(services, row)

    def start(self, services: Services, row: Row[Any]) -> None:
        """Begins a run."""
        if row.id not in self._tasks:
            task = asyncio.create_task(_carry_out(services, row))
            self._tasks[row.id] = task
            task.add_done_callback(lambda _: self._tasks.pop(row.id, None))

    def cancel(self, id: str) -> None:
        """Stops a run where it is."""
        task = self._tasks.get(id)
        if task is not None:
            task.cancel()


async def _carry_out(services: Services, row: Row[Any]) -> None:
    database = services.database
    await database.write(lambda connection: _set(connection, row.id, "in_progress"))
    try:
        await _all_rows(services, row)
    except (PotstillError, KeyError, TypeError, ValueError) as error:
        code = (error.code if isinstance(error, ApiError) else None) or "invalid_data_source"
        content = json.dumps({"code": code, "message": str(error)}).encode()
        await database.write(lambda connection: _set(connection, row.id, "failed", content))
    except Exception as error:
        log_failure("eval run", error, run=row.id)
        content = json.dumps({"code": "server_error", "message": "The run had an error; the log says more."}).encode()
        await database.write(lambda connection: _set(connection, row.id, "failed", content))
    else:
        await database.write(lambda connection: _set(connection, row.id, "completed"))


def _set(connection: Connection, id: str, status: str, error: bytes | None = None) -> None:
    open_run = (eval_runs.c.id == id) & eval_runs.c.status.in_(OPEN)
    connection.execute(update(eval_runs).where(open_run).values(status=status, error=error))


async def _all_rows(services: Services, row: Row[Any]) -> None:
    source = json.loads(row.body)["data_source"]

    def find(connection: Connection) -> tuple[list[SourceRow], list[Json], set[int]]:
        body = connection.execute(select(evals.c.body).where(evals.c.id == row.eval)).scalar() or b"{}"
        numbers = connection.scalars(select(eval_items.c.number).where(eval_items.c.run == row.id))
        rows = read_rows(connection, services.blobs, row.project, source)
        return rows, json.loads(body)["testing_criteria"], set(numbers)

    rows, criteria, done = await services.database.read(find)
    graders = [parse_grader(criterion) for criterion in criteria]
    names = [criterion_name(criterion, i) for i, criterion in enumerate(criteria)]
    allow_python = services.settings.allow_python_graders
    means = Means(ask=_asker(services, row.project), embed=services.embed, allow_python=allow_python)
    gate = asyncio.Semaphore(NUM_AT_ONCE)

    async def one(number: int, item: SourceRow) -> None:
        async with gate:
            body = await _judged(services, row.project, source, item, list(zip(names, graders, strict=True)), means)
        status = "error" if body["error"] else "pass" if all(r["passed"] for r in body["results"]) else "fail"
        place = {"seq": next_seq(), "run": row.id, "number": number, "id": new_id("outputitem_"), "created_at": now()}
        content = json.dumps(body).encode()
        await services.database.append({eval_items: [{**place, "status": status, "body": content}]})

    async with asyncio.TaskGroup() as group:
        for number, item in enumerate(rows):
            if number not in done:
                group.create_task(one(number, item))


def _asker(services: Services, project: str) -> Any:
    async def ask(body: Json) -> Json:
        return {**await _complete(services, project, body), "model": body["model"]}

    return ask


async def _complete(services: Services, project: str, body: Json) -> Json:
    return await complete_counted(services, Key(id=EVALS, project=project, name=EVALS), body)


async def _judged(
    services: Services, project: str, source: Json, row: SourceRow, graders: list[tuple[str, Grader]], means: Means
) -> Json:
    """One row: the answer, and every criterion's result."""
    shown = _shown([], "", source.get("model") or "", {}, {})
    sample = row.sample
    results: list[Json] = []
    error: Json | None = None
    try:
        if source["type"] != "jsonl" and source.get("model"):
            messages = messages_for(source, row)
            sample, shown = await _ask(services, project, source, row, messages)
        elif sample is not None:
            shown = _shown([], str(sample.get("output_text", "")), sample.get("model") or "", {}, {})
    except PotstillError as problem:
        error = {"code": "sample_error", "message": str(problem)}
    for name, grader in graders:
        result: Json = {"name": name, "type": grader.type, "passed": False, "score": 0.0, "sample": None}
        try:
            if error is None:
                grade = await grader.grade(Subject(item=row.item, sample=sample), means)
                result |= {"passed": grade.passed, "score": grade.score, "sample": grade.sample}
        except GraderError as problem:
            error = {"code": problem.flag, "message": f"{name}: {problem}"}
        results.append(result)
    return {"item": row.item, "results": results, "sample": {**shown, "error": error}, "error": error}


async def _ask(
    services: Services, project: str, source: Json, row: SourceRow, messages: list[Json]
) -> tuple[Json, Json]:
    """What the model says: as templates see it, and as an output item shows it."""
    given = source.get("sampling_params") or {}
    options = {name: given[name] for name in SAMPLING if given.get(name) is not None}
    if "max_completions_tokens" in given:
        options["max_completion_tokens"] = given["max_completions_tokens"]
    if "response_format" not in options and row.item.get("response_format"):
        options["response_format"] = row.item["response_format"]
    model = source["model"]
    found = await _complete(services, project, {"model": model, "messages": messages, **options})
    message = found["choices"][0]["message"]
    text = str(message.get("content") or "")
    sample = {
        **with_json(text),
        "output_tools": message.get("tool_calls") or [],
        "choices": found["choices"],
        "model": model,
    }
    finish = found["choices"][0].get("finish_reason") or "stop"
    shown = _shown(messages, text, model, found.get("usage") or {}, options)
    return sample, {**shown, "finish_reason": finish}


def _shown(messages: list[Json], text: str, model: str, usage: Json, options: Json) -> Json:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    counts = {name: usage.get(name) or 0 for name in ("total_tokens", "completion_tokens", "prompt_tokens")}
    return {
        "input": [{"role": m["role"], "content": _as_text(m.get("content"))} for m in messages],
        "output": [{"role": "assistant", "content": text}],
        "finish_reason": "stop",
        "model": model,
        "usage": {**counts, "cached_tokens": cached},
        "temperature": options.get("temperature", 1.0),
        "top_p": options.get("top_p", 1.0),
        "seed": options.get("seed", 0),
        "max_completion_tokens": options.get("max_completion_tokens", 0),
    }


def _as_text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text") or f"[{part.get('type')}]") for part in content)
    return str(content or "")
