"""Evals in the database, and how the API shows them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, select

from potstill.server.database.tables import eval_items, eval_runs, evals
from potstill.server.errors import not_found
from potstill.server.owned import find_owned

Json = dict[str, Any]
USAGE = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens")


def find_eval(connection: Connection, project: str, id: str, param: str | None = "id") -> Row[Any]:
    """The row of an eval.

    Raises:
        ApiError: 404: unknown, or another project's.
    """
    return find_owned(connection, evals, "eval", project, id, param)


def find_run(connection: Connection, project: str, eval_id: str, id: str, param: str | None = "id") -> Row[Any]:
    """The row of a run.

    Raises:
        ApiError: 404.
    """
    mine = (eval_runs.c.project == project) & (eval_runs.c.eval == eval_id) & (eval_runs.c.id == id)
    row = connection.execute(select(eval_runs).where(mine)).first()
    if row is None:
        raise not_found("eval run", id, param)
    return row


def eval_object(row: Row[Any]) -> Json:
    """An eval as the API shows it."""
    return {
        "id": row.id,
        "object": "eval",
        "name": row.name,
        "created_at": row.created_at,
        "metadata": json.loads(row.metadata_json),
        **json.loads(row.body),
    }


def run_object(connection: Connection, row: Row[Any], base_url: str) -> Json:
    """A run as the API shows it, with the counts of all items so far."""
    body = json.loads(row.body)
    criteria = json.loads(
        connection.execute(select(evals.c.body).where(evals.c.id == row.eval)).scalar() or b'{"testing_criteria": []}'
    )["testing_criteria"]
    items = [
        (item.status, json.loads(item.body))
        for item in connection.execute(select(eval_items).where(eval_items.c.run == row.id))
    ]
    counts = Counter(status for status, _ in items)
    return {
        "id": row.id,
        "object": "eval.run",
        "eval_id": row.eval,
        "created_at": row.created_at,
        "status": row.status,
        "name": body["name"],
        "model": body["model"],
        "metadata": body["metadata"],
        "data_source": body["data_source"],
        "report_url": f"{base_url}evals/{row.eval}/runs/{row.id}",
        "result_counts": {
            "total": len(items),
            "passed": counts["pass"],
            "failed": counts["fail"],
            "errored": counts["error"],
        },
        "per_testing_criteria_results": _per_criterion(criteria, [item for _, item in items]),
        "per_model_usage": _per_model([item for _, item in items]),
        "error": json.loads(row.error) if row.error else None,
    }


def item_object(row: Row[Any], eval_id: str) -> Json:
    """An output item as the API shows it; it knows pass and fail alone, so an error is a fail that says so."""
    body = json.loads(row.body)
    return {
        "id": row.id,
        "object": "eval.run.output_item",
        "created_at": row.created_at,
        "eval_id": eval_id,
        "run_id": row.run,
        "status": "pass" if row.status == "pass" else "fail",
        "datasource_item_id": row.number,
        "datasource_item": body["item"],
        "results": body["results"],
        "sample": body["sample"],
    }


def criterion_name(criterion: Json, number: int) -> str:
    """How results call a criterion."""
    return str(criterion.get("name") or f"{criterion['type']}-{number}")


def _per_criterion(criteria: Iterable[Json], items: list[Json]) -> list[Json]:
    found = []
    for number, criterion in enumerate(criteria):
        results = [item["results"][number] for item in items if len(item["results"]) > number]
        passed = sum(result["passed"] for result in results)
        name = criterion_name(criterion, number)
        found.append({"testing_criteria": name, "passed": passed, "failed": len(results) - passed})
    return found


def _per_model(items: list[Json]) -> list[Json]:
    totals: dict[str, Counter[str]] = {}
    for item in items:
        samples = [item["sample"], *(result.get("sample") for result in item["results"])]
        for sample in samples:
            if sample and sample.get("model"):
                total = totals.setdefault(sample["model"], Counter())
                total["invocation_count"] += 1
                usage = sample.get("usage") or {}
                cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", usage.get("cached_tokens"))
                for name in USAGE:
                    total[name] += (cached if name == "cached_tokens" else usage.get(name)) or 0
    names = ("invocation_count", *USAGE)
    return [{"model_name": model, **{name: total[name] for name in names}} for model, total in totals.items()]
