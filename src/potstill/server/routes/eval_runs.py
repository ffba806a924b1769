"""/v1/evals/{eval_id}/runs and what came out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, update
from starlette.responses import Response

from potstill.server.database.tables import eval_items, eval_runs
from potstill.server.endpoint import Call, Doc, Endpoint, Policy, json_response
from potstill.server.errors import invalid, not_found
from potstill.server.evals.compare import compare
from potstill.server.evals.runner import OPEN
from potstill.server.evals.sources import check_source
from potstill.server.evals.store import find_eval, find_run, item_object, run_object
from potstill.server.ids import new_id, next_seq, now
from potstill.server.pages import check_metadata, read_page

RUNS = "/v1/evals/{eval_id}/runs"
RUN = f"{RUNS}/{{run_id}}"
STATES = ("queued", "in_progress", "completed", "canceled", "failed")


class RunRequest(msgspec.Struct, kw_only=True):
    """Body of `evals.runs.create`."""

    data_source: dict[str, Any]
    name: str | None = None
    metadata: dict[str, Any] | None = None


async def create(call: Call) -> Response:
    """Begins a run."""
    request: RunRequest = call.body
    metadata = check_metadata(request.metadata)
    check_source(request.data_source)
    body = {
        "data_source": request.data_source,
        "name": request.name or "",
        "metadata": metadata or {},
        "model": request.data_source.get("model") or "",
    }
    row = {
        "seq": next_seq(),
        "project": call.project,
        "eval": call.path("eval_id"),
        "id": new_id("evalrun_"),
        "created_at": now(),
        "status": "queued",
        "body": json.dumps(body).encode(),
    }

    def write(connection: Connection) -> Row[Any]:
        find_eval(connection, call.project, call.path("eval_id"))
        connection.execute(eval_runs.insert(), row)
        return _find(call, connection, str(row["id"]))

    found = await call.services.database.write(write)
    call.services.evals.start(call.services, found)
    return json_response(await _shown(call, found), 201)


async def list_all(call: Call) -> dict[str, Any]:
    """The runs of an eval, the oldest first."""
    await call.services.evals.wake(call.services)
    query = call.request.query_params
    page = read_page(query, order="asc")
    status = query.get("status")
    if status is not None and status not in STATES:
        raise invalid(f"Invalid 'status': expected one of {', '.join(STATES)}.", "status", "invalid_value")

    def find(connection: Connection) -> list[dict[str, Any]]:
        row = find_eval(connection, call.project, call.path("eval_id"))
        after = _find(call, connection, page.after, "after").seq if page.after else None
        rows = select(eval_runs).where(eval_runs.c.eval == row.id)
        if status:
            rows = rows.where(eval_runs.c.status == status)
        found = connection.execute(page.select(rows, eval_runs.c.seq, after))
        return [run_object(connection, row, _base(call)) for row in found]

    return page.page(await call.services.database.read(find))


async def retrieve(call: Call) -> dict[str, Any]:
    """One run."""
    await call.services.evals.wake(call.services)
    return await _shown(call, await call.services.database.read(lambda c: _find(call, c)))


async def cancel(call: Call) -> dict[str, Any]:
    """Stops a run; rows that were graded stay."""

    def write(connection: Connection) -> Row[Any]:
        row = _find(call, connection)
        if row.status not in OPEN:
            raise invalid(f"Run {row.id} is {row.status} already.", "run_id", "run_ended")
        connection.execute(update(eval_runs).where(eval_runs.c.seq == row.seq).values(status="canceled"))
        return _find(call, connection)

    row = await call.services.database.write(write)
    call.services.evals.cancel(row.id)
    return await _shown(call, row)


async def remove(call: Call) -> dict[str, Any]:
    """Deletes a run with its rows."""

    def write(connection: Connection) -> str:
        row = _find(call, connection)
        connection.execute(delete(eval_items).where(eval_items.c.run == row.id))
        connection.execute(delete(eval_runs).where(eval_runs.c.seq == row.seq))
        return str(row.id)

    id = await call.services.database.write(write)
    call.services.evals.cancel(id)
    return {"object": "eval.run.deleted", "deleted": True, "run_id": id}


async def list_items(call: Call) -> dict[str, Any]:
    """What came out for every row; `status` is `pass` or `fail`."""
    query = call.request.query_params
    page = read_page(query, order="asc")
    status = query.get("status")
    if status not in (None, "pass", "fail"):
        raise invalid("Invalid 'status': expected 'pass' or 'fail'.", "status", "invalid_value")

    def find(connection: Connection) -> list[dict[str, Any]]:
        run = _find(call, connection)
        after = _find_item(connection, run.id, page.after, "after").number if page.after else None
        rows = select(eval_items).where(eval_items.c.run == run.id)
        if status:
            rows = rows.where(eval_items.c.status.in_(("pass",) if status == "pass" else ("fail", "error")))
        found = connection.execute(page.select(rows, eval_items.c.number, after))
        return [item_object(row, run.eval) for row in found]

    return page.page(await call.services.database.read(find))


async def retrieve_item(call: Call) -> dict[str, Any]:
    """One row."""

    def find(connection: Connection) -> dict[str, Any]:
        run = _find(call, connection)
        return item_object(_find_item(connection, run.id, call.path("item_id")), run.eval)

    return await call.services.database.read(find)


async def compare_with(call: Call) -> dict[str, Any]:
    """Two runs in pairs; an addition of ours."""

    def find(connection: Connection) -> dict[str, Any]:
        first, second = _find(call, connection), _find(call, connection, call.path("other_id"))
        return compare(connection, first.id, second.id)

    return await call.services.database.read(find)


def _find(call: Call, connection: Connection, id: str = "", param: str | None = "id") -> Row[Any]:
    return find_run(connection, call.project, call.path("eval_id"), id or call.path("run_id"), param)


def _find_item(connection: Connection, run: str, id: str, param: str | None = "id") -> Row[Any]:
    query = select(eval_items).where(eval_items.c.run == run, eval_items.c.id == id)
    row = connection.execute(query).first()
    if row is None:
        raise not_found("output item", id, param)
    return row


async def _shown(call: Call, row: Row[Any]) -> dict[str, Any]:
    return await call.services.database.read(lambda connection: run_object(connection, row, _base(call)))


def _base(call: Call) -> str:
    return str(call.request.base_url)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=RUNS,
        policy=Policy.PROJECT,
        handler=create,
        body=RunRequest,
        doc=Doc(answer="eval.run", status=201),
    ),
    Endpoint(
        method="GET",
        path=RUNS,
        policy=Policy.PROJECT,
        handler=list_all,
        doc=Doc(answer="page of eval.run", query=("page", "status")),
    ),
    Endpoint(method="GET", path=RUN, policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="eval.run")),
    # The SDK calls the second, the published document has the first.
    Endpoint(method="POST", path=RUN, policy=Policy.PROJECT, handler=cancel, doc=Doc(answer="eval.run")),
    Endpoint(method="POST", path=f"{RUN}/cancel", policy=Policy.PROJECT, handler=cancel, doc=Doc(answer="eval.run")),
    Endpoint(method="DELETE", path=RUN, policy=Policy.PROJECT, handler=remove, doc=Doc(answer="eval.run.deleted")),
    Endpoint(
        method="GET",
        path=f"{RUN}/output_items",
        policy=Policy.PROJECT,
        handler=list_items,
        doc=Doc(answer="page of eval.run.output_item", query=("page", "status")),
    ),
    Endpoint(
        method="GET",
        path=f"{RUN}/output_items/{{item_id}}",
        policy=Policy.PROJECT,
        handler=retrieve_item,
        doc=Doc(answer="eval.run.output_item"),
    ),
    Endpoint(
        method="GET",
        path=f"{RUN}/compare/{{other_id}}",
        policy=Policy.PROJECT,
        handler=compare_with,
        doc=Doc(answer="eval.comparison"),
    ),
)
