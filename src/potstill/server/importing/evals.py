"""Evals of another server with their runs and what came out: kept as they are, under the names that they had."""

from __future__ import annotations

import json
from typing import Any, TypeGuard

import msgspec
from sqlalchemy import Connection, Row, select

from potstill.server.database.tables import eval_items, eval_runs, evals
from potstill.server.errors import invalid
from potstill.server.evals.store import USAGE
from potstill.server.ids import next_seq, now
from potstill.server.pages import check_metadata

Json = dict[str, Any]
ENDED = {"completed": "completed", "failed": "failed", "canceled": "canceled", "cancelled": "canceled"}


class EvalImport(msgspec.Struct, kw_only=True):
    """An eval, and one of its runs with some of its output items; more of them come in further calls."""

    eval: Json
    run: Json | None = None
    output_items: list[Json] = []


def import_eval(connection: Connection, project: str, value: EvalImport) -> Json:
    """Adds what is not there yet.

    Raises:
        ApiError: 400: something is of another form, or is another project's.
    """
    id = _name(value.eval, "eval")
    known = connection.execute(select(evals).where(evals.c.id == id)).first()
    _check_owner(known, project, id)
    if known is None:
        connection.execute(evals.insert(), _eval_row(project, value.eval))
    found = {"eval_id": id, "eval_added": known is None, "run_added": False, "items_added": 0}
    if value.run is None:
        return found
    run = _name(value.run, "run")
    known = connection.execute(select(eval_runs).where(eval_runs.c.id == run)).first()
    _check_owner(known, project, run)
    if known is None:
        connection.execute(eval_runs.insert(), _run_row(project, id, value.run))
    numbers = set(connection.scalars(select(eval_items.c.number).where(eval_items.c.run == run)))
    rows = [_item_row(run, item) for item in value.output_items]
    new = list({row["number"]: row for row in rows if row["number"] not in numbers}.values())
    if new:
        connection.execute(eval_items.insert(), new)
    return {**found, "run_id": run, "run_added": known is None, "items_added": len(new)}


def _eval_row(project: str, value: Json) -> Json:
    config, criteria = value.get("data_source_config"), value.get("testing_criteria")
    if not isinstance(config, dict) or not isinstance(criteria, list):
        raise invalid("An eval has an object 'data_source_config' and a list 'testing_criteria'.", "eval")
    seq = next_seq()
    body = {"data_source_config": config, "testing_criteria": criteria}
    return {
        "seq": seq,
        "project": project,
        "id": value["id"],
        "created_at": _time(value),
        "updated_seq": seq,
        "name": str(value.get("name") or ""),
        "metadata_json": json.dumps(check_metadata(value.get("metadata")) or {}).encode(),
        "body": json.dumps(body).encode(),
    }


def _run_row(project: str, eval_id: str, value: Json) -> Json:
    status = ENDED.get(str(value.get("status")))
    if status is None:
        raise invalid(
            f"Run {value['id']} is '{value.get('status')}'; only runs that have ended can be imported.", "run"
        )
    source = value.get("data_source")
    if not isinstance(source, dict):
        raise invalid(f"Run {value['id']} has no 'data_source'.", "run")
    body = {
        "data_source": source,
        "name": str(value.get("name") or ""),
        "metadata": check_metadata(value.get("metadata")) or {},
        "model": str(value.get("model") or source.get("model") or ""),
    }
    error = value.get("error")
    return {
        "seq": next_seq(),
        "project": project,
        "eval": eval_id,
        "id": value["id"],
        "created_at": _time(value),
        "status": status,
        "body": json.dumps(body).encode(),
        "error": json.dumps(error).encode() if error else None,
    }


def _item_row(run: str, value: Json) -> Json:
    number, results, sample = value.get("datasource_item_id"), value.get("results"), value.get("sample")
    if type(number) is not int or not isinstance(sample, dict) or not _are_objects(results):
        raise invalid(
            "An output item has a number 'datasource_item_id', a list of objects 'results' and a 'sample'.",
            "output_items",
        )
    error = sample.get("error") or None
    status = "error" if error else "pass" if value.get("status") == "pass" else "fail"
    given = sample.get("usage")
    counted = {k: v for k, v in given.items() if type(v) is int} if isinstance(given, dict) else {}
    body = {
        "item": value.get("datasource_item") or {},
        "results": [{"sample": None, **each, "passed": bool(each.get("passed"))} for each in results],
        "sample": {**sample, "usage": {**dict.fromkeys(USAGE, 0), **counted}, "error": error},
        "error": error,
    }
    return {
        "seq": next_seq(),
        "run": run,
        "number": number,
        "id": _name(value, "output item"),
        "created_at": _time(value),
        "status": status,
        "body": json.dumps(body).encode(),
    }


def _name(value: Json, what: str) -> str:
    id = value.get("id")
    if not isinstance(id, str) or not 0 < len(id) <= 200:
        raise invalid(f"The {what} has no 'id'.", what)
    return id


def _time(value: Json) -> int:
    created = value.get("created_at")
    return created if type(created) is int and 0 < created < 2**40 else now()


def _check_owner(row: Row[Any] | None, project: str, id: str) -> None:
    if row is not None and row.project != project:
        raise invalid(f"{id} is taken by something else on this server.", code="name_taken")


def _are_objects(values: Any) -> TypeGuard[list[Json]]:
    return isinstance(values, list) and all(isinstance(value, dict) for value in values)
