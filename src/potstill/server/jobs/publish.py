"""The end of a job: model, result file, events and state in one transaction, or none of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row

from potstill.files import digest
from potstill.server.blobs import Blobs
from potstill.server.database import Database
from potstill.server.database.tables import models
from potstill.server.files import add_file, new_file
from potstill.server.ids import next_seq, now
from potstill.server.jobs.store import add_checkpoint, add_event, change_job
from potstill.server.models.registry import CHECKPOINT


def publish(database: Database, blobs: Blobs, row: Row[Any], said: dict[str, Any], folder: Path) -> None:
    """Writes down how a job ended.

    Args:
        database: of the server.
        blobs: gets the result file.
        row: of the job, as this attempt claimed it.
        said: the last thing that the child said.
        folder: of the job, relative to the data folder.
    """
    if said["kind"] == "failed":
        database.write_now(lambda connection: _fail(connection, row, said["error"]))
        return
    results = [_file(blobs, row, "results.csv", said["csv"])]
    if said.get("skipped"):
        results.append(_file(blobs, row, "skipped-images.json", said["skipped"]))
    database.write_now(lambda connection: _succeed(connection, row, said, results, folder))


def model_name(row: Row[Any]) -> str:
    """`ft:BASE:ORGANISATION:SUFFIX:ID`; the same whenever the job is done again."""
    asked = json.loads(row.request)
    return f"ft:{asked['model']}:{row.project}:{asked['suffix'] or ''}:{digest(row.id.encode())[:8]}"


def _file(blobs: Blobs, row: Row[Any], name: str, text: str) -> dict[str, Any]:
    """A row for a file that a job leaves."""
    content = text.encode()
    place = blobs.put(content)
    named = f"{row.id}-{name}"
    return new_file(row.project, filename=named, purpose="fine-tune-results", digest=place, size=len(content))


def _fail(connection: Connection, row: Row[Any], error: dict[str, Any]) -> None:
    outcome = json.dumps({"error": error}).encode()
    values = {"status": "failed", "outcome": outcome, "finished_at": now(), "lease_until": 0}
    if change_job(connection, row.id, row.attempt, **values):
        add_event(connection, row.id, "failed", error["message"], level="error")


def _succeed(
    connection: Connection, row: Row[Any], said: dict[str, Any], results: list[dict[str, Any]], folder: Path
) -> None:
    name = model_name(row)
    outcome = {
        "model": name,
        "result_files": [file["id"] for file in results],
        "trained_tokens": said["trained_tokens"],
        "hyperparameters": said["hyperparameters"],
        "result": said["result"],
    }
    values = {"status": "succeeded", "outcome": json.dumps(outcome).encode(), "finished_at": now(), "lease_until": 0}
    if not change_job(connection, row.id, row.attempt, **values):
        return
    for file in results:
        add_file(connection, file)
    bundles = {name: folder / "run" / "bundle"}
    for found in said["checkpoints"]:
        id, step = f"{name}{CHECKPOINT}{found['step']}", found["step"]
        bundles[id] = folder / found["folder"]
        add_checkpoint(connection, row.id, id, step, found["metrics"])
        add_event(connection, row.id, id, f"Checkpoint created at step {step} with Snapshot ID: {id}")
    model = {"project": row.project, "base": json.loads(row.request)["model"], "kind": said["model_kind"]}
    model["template"] = json.dumps(said["task"]).encode()
    for id, bundle in reversed(bundles.items()):
        place = {"seq": next_seq(), "id": id, "created_at": now(), "folder": str(bundle)}
        connection.execute(models.insert(), {**model, **place})
    add_event(connection, row.id, "model", f"New fine-tuned model created: {name}")
    add_event(connection, row.id, "success", "The job has successfully completed")
