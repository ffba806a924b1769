"""/v1/evals."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select, update
from starlette.responses import Response

from potstill.server.database.tables import eval_items, eval_runs, evals
from potstill.server.endpoint import Call, Doc, Endpoint, Policy, json_response
from potstill.server.errors import invalid
from potstill.server.evals.store import eval_object, find_eval
from potstill.server.graders import GraderError, parse_grader
from potstill.server.ids import new_id, next_seq, now
from potstill.server.pages import check_metadata, read_page

CONFIGS = ("custom", "logs", "stored_completions")
# What a row of stored traffic offers to templates.
LOGGED = {"type": "object", "properties": {"messages": {"type": "array"}, "output": {"type": "string"}}}
SAMPLE = {"type": "object", "properties": {"output_text": {"type": "string"}, "output_json": {}, "model": {}}}


class EvalRequest(msgspec.Struct, kw_only=True):
    """Body of `evals.create`."""

    data_source_config: dict[str, Any]
    testing_criteria: list[dict[str, Any]]
    name: str | None = None
    metadata: dict[str, Any] | None = None


class EvalUpdate(msgspec.Struct, kw_only=True):
    """Body of `evals.update`."""

    name: str | None = None
    metadata: dict[str, Any] | None = None


async def create(call: Call) -> Response:
    """Makes an eval; every criterion is checked now."""
    request: EvalRequest = call.body
    metadata = check_metadata(request.metadata)
    for i, criterion in enumerate(request.testing_criteria):
        try:
            parse_grader(criterion)
        except GraderError as error:
            raise invalid(f"Invalid 'testing_criteria[{i}]': {error}", "testing_criteria") from None
    body = {"data_source_config": _config(request.data_source_config), "testing_criteria": request.testing_criteria}
    seq = next_seq()
    row = {
        "seq": seq,
        "project": call.project,
        "id": new_id("eval_"),
        "created_at": now(),
        "updated_seq": seq,
        "name": request.name or "",
        "metadata_json": json.dumps(metadata or {}).encode(),
        "body": json.dumps(body).encode(),
    }
    await call.services.database.append({evals: [row]})
    found = await call.services.database.read(lambda c: find_eval(c, call.project, str(row["id"])))
    return json_response(eval_object(found), 201)


def _config(config: dict[str, Any]) -> dict[str, Any]:
    """The data source's form with the schema of its rows."""
    kind = config.get("type")
    if kind not in CONFIGS:
        raise invalid(f"'data_source_config.type' is '{kind}'; expected one of {', '.join(CONFIGS)}.")
    if kind == "custom" and not isinstance(config.get("item_schema"), dict):
        raise invalid("'data_source_config.item_schema' is missing; it is a JSON schema.", "data_source_config")
    has_sample = bool(config.get("include_sample_schema")) or kind != "custom"
    item = config["item_schema"] if kind == "custom" else LOGGED
    properties = {"item": item, **({"sample": SAMPLE} if has_sample else {})}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {**{k: v for k, v in config.items() if k not in ("item_schema", "include_sample_schema")}, "schema": schema}


async def list_all(call: Call) -> dict[str, Any]:
    """The evals of the project, the oldest first."""
    query = call.request.query_params
    page = read_page(query, order="asc")
    order_by = query.get("order_by", "created_at")
    if order_by not in ("created_at", "updated_at"):
        raise invalid("Invalid 'order_by': expected 'created_at' or 'updated_at'.", "order_by", "invalid_value")
    column = evals.c.seq if order_by == "created_at" else evals.c.updated_seq

    def find(connection: Connection) -> list[dict[str, Any]]:
        after = None
        if page.after:
            row = find_eval(connection, call.project, page.after, "after")
            after = row.seq if order_by == "created_at" else row.updated_seq
        rows = select(evals).where(evals.c.project == call.project)
        return [eval_object(row) for row in connection.execute(page.select(rows, column, after))]

    return page.page(await call.services.database.read(find))


async def retrieve(call: Call) -> dict[str, Any]:
    """One eval."""
    return eval_object(await call.services.database.read(lambda c: find_eval(c, call.project, call.path("eval_id"))))


async def change(call: Call) -> dict[str, Any]:
    """Renames it, or gives it other metadata."""
    request: EvalUpdate = call.body
    metadata = check_metadata(request.metadata)

    def write(connection: Connection) -> dict[str, Any]:
        row = find_eval(connection, call.project, call.path("eval_id"))
        values: dict[str, Any] = {"updated_seq": next_seq()}
        if request.name is not None:
            values["name"] = request.name
        if metadata is not None:
            values["metadata_json"] = json.dumps(metadata).encode()
        connection.execute(update(evals).where(evals.c.seq == row.seq).values(**values))
        return eval_object(find_eval(connection, call.project, row.id))

    return await call.services.database.write(write)


async def remove(call: Call) -> dict[str, Any]:
    """Deletes it with all its runs."""

    def write(connection: Connection) -> str:
        row = find_eval(connection, call.project, call.path("eval_id"))
        runs = select(eval_runs.c.id).where(eval_runs.c.eval == row.id)
        connection.execute(delete(eval_items).where(eval_items.c.run.in_(runs)))
        connection.execute(delete(eval_runs).where(eval_runs.c.eval == row.id))
        connection.execute(delete(evals).where(evals.c.seq == row.seq))
        return str(row.id)

    return {"object": "eval.deleted", "deleted": True, "eval_id": await call.services.database.write(write)}


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/evals",
        policy=Policy.PROJECT,
        handler=create,
        body=EvalRequest,
        doc=Doc(answer="eval", status=201),
    ),
    Endpoint(
        method="GET",
        path="/v1/evals",
        policy=Policy.PROJECT,
        handler=list_all,
        doc=Doc(answer="page of eval", query=("page", "order_by")),
    ),
    Endpoint(method="GET", path="/v1/evals/{eval_id}", policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="eval")),
    Endpoint(
        method="POST",
        path="/v1/evals/{eval_id}",
        policy=Policy.PROJECT,
        handler=change,
        body=EvalUpdate,
        doc=Doc(answer="eval"),
    ),
    Endpoint(
        method="DELETE",
        path="/v1/evals/{eval_id}",
        policy=Policy.PROJECT,
        handler=remove,
        doc=Doc(answer="eval.deleted"),
    ),
)
