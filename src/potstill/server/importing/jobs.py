"""Fine-tuning jobs that ran elsewhere, as a record: their curve, events and figures, and the name of their model."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from potstill.server.blobs import Blobs
from potstill.server.database.tables import jobs
from potstill.server.errors import invalid
from potstill.server.files import add_file, new_file
from potstill.server.ids import next_seq, now
from potstill.server.jobs.store import ENDED, add_event
from potstill.server.pages import check_metadata

Json = dict[str, Any]
STEP = "step"
FIGURES = ("train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
PURPOSE = "fine-tune-results"


class JobImport(msgspec.Struct, kw_only=True):
    """A job as OpenAI shows it, its events, and its result file's text."""

    job: Json
    events: list[Json] = []
    results_csv: str | None = None


def import_job(connection: Connection, project: str, value: JobImport, file: Json | None) -> Json:
    """Adds a job that is not there yet; `file` is the row of its result file, whose bytes are kept already.

    Raises:
        ApiError: 400.
    """
    job = value.job
    id, model, status = job.get("id"), job.get("model"), job.get("status")
    if not isinstance(id, str) or not 0 < len(id) <= 200 or not isinstance(model, str):
        raise invalid("The job has no 'id' or no 'model'.", "job")
    if status not in ENDED:
        raise invalid(f"Job {id} is '{status}'; only jobs that have ended can be imported.", "job")
    known = connection.execute(select(jobs.c.project).where(jobs.c.id == id)).first()
    if known is not None and known.project != project:
        raise invalid(f"{id} is taken by something else on this server.", code="name_taken")
    found = {"object": "potstill.import", "job_id": id, "added": known is None}
    if known is not None:
        return found
    if file is not None:
        add_file(connection, file)
    connection.execute(jobs.insert(), _row(project, job, file))
    for number, event in enumerate(value.events):
        add_event(
            connection,
            id,
            f"imported-{number}",
            str(event.get("message") or ""),
            level=str(event.get("level") or "info"),
            data=event.get("data") or None,
        )
    if not value.events and value.results_csv is not None:
        for step, figures in read_results(value.results_csv):
            add_event(connection, id, f"step-{step}", _sentence(step, figures), data={"step": step, **figures})
    return {**found, "result_files": [file["id"]] if file else []}


def keep_results(blobs: Blobs, project: str, text: str) -> Json:
    """Puts a result file into the store and returns its row.

    Raises:
        ApiError: 400: it is no result file.
    """
    read_results(text)
    content = text.encode()
    digest = blobs.put(content)
    return new_file(project, filename="step_metrics.csv", purpose=PURPOSE, digest=digest, size=len(content))


def read_results(text: str) -> list[tuple[int, dict[str, float]]]:
    """Steps and their figures; a cell that is empty is left out.

    Raises:
        ApiError: 400, with the number of the line.
    """
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames is None or STEP not in reader.fieldnames:
        raise invalid(f"A result file's first line names its columns: step, {', '.join(FIGURES)}.", "results_csv")
    found = []
    for number, row in enumerate(reader, 2):
        try:
            figures = {name: _figure(value) for name in FIGURES if (value := (row.get(name) or "").strip())}
            found.append((int(row[STEP]), figures))
        except (ValueError, TypeError):
            raise invalid(f"Line {number} of the result file holds no plain numbers.", "results_csv") from None
    return found


def _figure(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _sentence(step: int, figures: dict[str, float]) -> str:
    loss = figures.get("train_loss")
    return f"Step {step}" if loss is None else f"Step {step}: training loss={loss:.2f}"


def _row(project: str, job: Json, file: Json | None) -> Json:
    request = {
        "model": job["model"],
        "training_file": str(job.get("training_file") or ""),
        "validation_file": job.get("validation_file"),
        "suffix": job.get("user_provided_suffix"),
        "seed": job.get("seed") or 0,
        "metadata": check_metadata(job.get("metadata")),
    }
    outcome = {
        "model": job.get("fine_tuned_model"),
        "error": job.get("error"),
        "hyperparameters": job.get("hyperparameters") or {},
        "result_files": [file["id"]] if file else [],
        "trained_tokens": job.get("trained_tokens"),
    }
    created, finished = job.get("created_at"), job.get("finished_at")
    return {
        "seq": next_seq(),
        "project": project,
        "id": job["id"],
        "created_at": created if type(created) is int else now(),
        "status": job["status"],
        "request": json.dumps(request).encode(),
        "training_digest": "",
        "outcome": json.dumps(outcome).encode(),
        "finished_at": finished if type(finished) is int else None,
        "attempt": 0,
        "lease_until": 0,
    }
