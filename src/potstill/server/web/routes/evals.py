"""Evals: list, builder, and one with its runs side by side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, Row, func, select
from starlette.responses import Response

from potstill.server.database.tables import completions, eval_items, eval_runs, evals, models
from potstill.server.endpoint import Call
from potstill.server.errors import ApiError, invalid
from potstill.server.evals.compare import compare
from potstill.server.evals.store import criterion_name, find_eval
from potstill.server.matching import select_matching
from potstill.server.routes import eval_runs as runs_api
from potstill.server.routes import evals as api
from potstill.server.settings import ANY_MODEL
from potstill.server.web.building import MAX_CRITERIA, as_grader, read_criteria
from potstill.server.web.filtering import to_filter, typed_filter
from potstill.server.web.views.evals import (
    Criterion,
    Eval,
    EvalDraft,
    EvalRow,
    RunRow,
    eval_page,
    evals_page,
    new_eval_page,
)
from potstill.server.web.views.matrix import SHOWN, Cell, Matrix, MatrixRow, Paired
from potstill.server.web.visit import Visit, as_response, go_to, look, send

NUM_SHOWN = 50
MAX_COLUMNS = 5
NUM_STUDENTS = 20
MAX_TEXT = 600
Json = dict[str, Any]


async def show_all(visit: Visit) -> str:
    """The list."""
    project, after = visit.call.project, visit.asked("after")

    def read(connection: Connection) -> tuple[list[EvalRow], bool]:
        query = select(evals).where(evals.c.project == project).order_by(evals.c.seq.desc()).limit(NUM_SHOWN + 1)
        if after:
            query = query.where(evals.c.seq < find_eval(connection, project, after).seq)
        found = connection.execute(query).all()
        return [_listed(connection, row) for row in found[:NUM_SHOWN]], len(found) > NUM_SHOWN

    rows, has_more = await visit.call.services.database.read(read)
    return evals_page(visit.viewer, rows, older=f"/evals?after={rows[-1].id}" if has_more else "")


def _listed(connection: Connection, row: Row[Any]) -> EvalRow:
    runs = connection.execute(select(eval_runs).where(eval_runs.c.eval == row.id).order_by(eval_runs.c.seq)).all()
    rate = _run(connection, runs[-1]).pass_rate if runs else None
    return EvalRow(id=row.id, name=row.name, created_at=row.created_at, num_runs=len(runs), pass_rate=rate)


async def build(visit: Visit) -> str:
    """The empty builder."""
    return await _builder(visit, EvalDraft(filter=typed_filter(visit)))


async def build_on(visit: Visit) -> Response:
    """One criterion more, or the start."""
    draft = EvalDraft(
        filter=typed_filter(visit, prefix="filter_"),
        name=visit.sent("name"),
        criteria=read_criteria(visit),
        models=visit.form.get("models", []),
    )
    if visit.sent("add"):
        criteria = [*draft.criteria, Criterion()][:MAX_CRITERIA]
        return as_response(await _builder(visit, replace(draft, criteria=criteria)))
    try:
        return go_to(f"/evals/{await _start(visit, draft)}")
    except ApiError as refusal:
        page = await _builder(visit, replace(draft, refused=str(refusal)))
        return as_response(page, refusal.status)


async def _builder(visit: Visit, draft: EvalDraft) -> str:
    project, services = visit.call.project, visit.call.services

    def read(connection: Connection) -> tuple[int | None, list[str]]:
        is_student = (models.c.project == project) & models.c.id.not_like("%:ckpt-step-%")
        query = select(models.c.id).where(is_student).order_by(models.c.seq.desc()).limit(NUM_STUDENTS)
        try:
            wanted = to_filter(visit.viewer.words, draft.filter)
        except ApiError:
            return None, list(connection.scalars(query))
        matching = select_matching(connection, project, wanted, func.count(completions.c.seq))
        return (connection.scalar(matching[0]) if matching else 0), list(connection.scalars(query))

    count, students = await services.database.read(read)
    offered = [*(name for name in services.teachers.settings if name != ANY_MODEL), *students]
    return new_eval_page(visit.viewer, replace(draft, offered=offered, num_rows=count))


async def _start(visit: Visit, draft: EvalDraft) -> str:
    words, call = visit.viewer.words, visit.call
    wanted = to_filter(words, draft.filter)
    if wanted.text:
        raise invalid(words("eval_text_refused"), "text")
    if not draft.models:
        raise invalid(words("eval_models_refused"), "models")
    graders = [as_grader(words, each, i) for i, each in enumerate(draft.criteria, 1)]
    config = {"type": "stored_completions", "metadata": dict(wanted.metadata)}
    body = api.EvalRequest(data_source_config=config, testing_criteria=graders, name=draft.name or words("new_eval"))
    made = json.loads(bytes((await api.create(replace(call, body=body))).body))
    # The handler of runs reads the eval's id from the path, which this form doesn't have.
    call.request.scope["path_params"] = {**call.request.path_params, "eval_id": made["id"]}
    source = {
        "type": "stored_completions",
        "model": wanted.model,
        "metadata": dict(wanted.metadata),
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
    }
    for model in draft.models[:MAX_COLUMNS]:
        await _run_model(call, model, {name: value for name, value in source.items() if value})
    return str(made["id"])


async def _run_model(call: Call, model: str, source: Json) -> None:
    request = runs_api.RunRequest(data_source={"type": "completions", "source": source, "model": model}, name=model)
    await runs_api.create(replace(call, body=request))


async def show_one(visit: Visit) -> str:
    """One eval."""
    services, project, id = visit.call.services, visit.call.project, visit.call.path("eval_id")
    await services.evals.wake(services)
    shown = visit.asked("show") if visit.asked("show") in SHOWN else "all"
    page = visit.asked("page")
    number = int(page[:6]) if page.isascii() and page.isdecimal() else 1

    def read(connection: Connection) -> Eval:
        row = find_eval(connection, project, id)
        body = json.loads(row.body)
        runs = connection.execute(select(eval_runs).where(eval_runs.c.eval == id).order_by(eval_runs.c.seq)).all()
        criteria = [(criterion_name(each, i), _said(each)) for i, each in enumerate(body["testing_criteria"])]
        return Eval(
            id=id,
            name=row.name or id,
            created_at=row.created_at,
            criteria=criteria,
            runs=[_run(connection, run) for run in runs],
            matrix=_matrix(connection, runs[-MAX_COLUMNS:], shown, number) if runs else None,
        )

    return eval_page(visit.viewer, await services.database.read(read))


async def show_run(visit: Visit) -> Response:
    """A run is a column of its eval."""
    return go_to(f"/evals/{visit.call.path('eval_id')}#rows")


async def delete(visit: Visit) -> Response:
    """Deletes it."""
    await api.remove(visit.call)
    return go_to("/evals")


def _said(criterion: Json) -> str:
    shown = {name: value for name, value in criterion.items() if name != "name"}
    return json.dumps(shown, ensure_ascii=False)[:MAX_TEXT]


def _run(connection: Connection, row: Row[Any]) -> RunRow:
    body = json.loads(row.body)
    query = select(eval_items.c.status, func.count()).where(eval_items.c.run == row.id).group_by(eval_items.c.status)
    counts = {str(status): int(count) for status, count in connection.execute(query)}
    return RunRow(
        id=row.id,
        name=body["name"],
        model=body["model"],
        status=row.status,
        created_at=row.created_at,
        passed=counts.get("pass", 0),
        failed=counts.get("fail", 0),
        errored=counts.get("error", 0),
        error=json.loads(row.error)["message"] if row.error else "",
    )


def _matrix(connection: Connection, runs: Sequence[Row[Any]], shown: str, page: int) -> Matrix:
    ids = [run.id for run in runs]
    verdicts: dict[int, dict[str, str]] = {}
    query = select(eval_items.c.number, eval_items.c.run, eval_items.c.status).where(eval_items.c.run.in_(ids))
    for item in connection.execute(query.order_by(eval_items.c.number)):
        verdicts.setdefault(item.number, {})[item.run] = item.status
    passed = {number: {status == "pass" for status in said.values()} for number, said in verdicts.items()}
    by_filter = {
        "all": list(verdicts),
        "failures": [number for number, said in passed.items() if False in said],
        "different": [number for number, said in passed.items() if len(said) > 1],
    }
    numbers = by_filter[shown]
    num_pages = max(1, -(-len(numbers) // NUM_SHOWN))
    page = min(max(page, 1), num_pages)
    rows = _rows(connection, ids, numbers[(page - 1) * NUM_SHOWN : page * NUM_SHOWN])
    return Matrix(
        models=_titles(runs),
        rows=rows,
        counts={name: len(found) for name, found in by_filter.items()},
        shown=shown,
        page=page,
        num_pages=num_pages,
        paired=_paired(connection, runs),
    )


def _titles(runs: Sequence[Row[Any]]) -> list[str]:
    """Models; a second run of the same one has its number."""
    seen: Counter[str] = Counter()
    titles = []
    for run in runs:
        model = json.loads(run.body)["model"]
        seen[model] += 1
        titles.append(model if seen[model] == 1 else f"{model} ({seen[model]})")
    return titles


def _rows(connection: Connection, runs: Sequence[str], numbers: Sequence[int]) -> list[MatrixRow]:
    wanted = eval_items.c.run.in_(runs) & eval_items.c.number.in_(numbers)
    found = {(item.run, item.number): item for item in connection.execute(select(eval_items).where(wanted))}
    rows = []
    for number in numbers:
        items = [found.get((run, number)) for run in runs]
        first = next(json.loads(item.body)["item"] for item in items if item is not None)
        prompt = _prompt(first)
        cells = [None if item is None else _cell(item) for item in items]
        rows.append(MatrixRow(prompt=prompt, reference=str(first.get("output", ""))[:MAX_TEXT], cells=cells))
    return rows


def _prompt(item: Json) -> str:
    messages = item.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        content = messages[-1].get("content")
        return (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))[:MAX_TEXT]
    return json.dumps(item, ensure_ascii=False)[:MAX_TEXT]


def _cell(item: Row[Any]) -> Cell:
    body = json.loads(item.body)
    sample = body["sample"] or {}
    output = sample.get("output")
    text = output[-1].get("content") if isinstance(output, list) and output else sample.get("output_text")
    failed = [str(result.get("name", "")) for result in body["results"] if not result.get("passed")]
    error = sample.get("error")
    reasons = [*failed, *([str(error.get("message", error))] if isinstance(error, dict) else [])]
    passed = {"pass": True, "fail": False}.get(item.status)
    return Cell(passed=passed, output=str(text or "")[:MAX_TEXT], reasons=[] if passed else reasons)


def _paired(connection: Connection, runs: Sequence[Row[Any]]) -> list[Paired]:
    done = [(run, title) for run, title in zip(runs, _titles(runs), strict=True) if run.status == "completed"]
    found = []
    for (first, first_title), (second, second_title) in combinations(done, 2):
        said = compare(connection, first.id, second.id)
        if said["num_rows"]:
            low, high = said["difference_ci95"]
            found.append(
                Paired(
                    first=first_title,
                    second=second_title,
                    num_rows=said["num_rows"],
                    difference=said["difference"],
                    low=low,
                    high=high,
                    only_first=said["only_first_passed"],
                    only_second=said["only_second_passed"],
                    p=said["mcnemar_p"],
                )
            )
    return found


ENDPOINTS = (
    look("/evals", show_all),
    look("/evals/new", build),
    send("/evals/new", build_on),
    look("/evals/{eval_id}", show_one),
    look("/evals/{eval_id}/runs/{run_id}", show_run),
    send("/evals/{eval_id}/delete", delete),
)
