"""Jobs in the database. A change of a running job names its attempt, and does nothing once another has begun."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from potstill.server.database.tables import files, job_checkpoints, job_events, jobs
from potstill.server.errors import not_found
from potstill.server.ids import new_id, next_seq, now
from potstill.server.jobs.request import JobRequest, hyperparameters
from potstill.server.owned import find_owned

ENDED = ("succeeded", "failed", "cancelled")
WAITING = ("validating_files", "queued")
LEASE_S = 30


def find_job(connection: Connection, project: str, id: str, param: str | None = "id") -> Row[Any]:
    """The row of a job.

    Raises:
        ApiError: 404: unknown, or another project's.
    """
    return find_owned(connection, jobs, "fine-tuning job", project, id, param)


def claim(connection: Connection) -> Row[Any] | None:
    """The oldest job that nobody works at, with its attempt begun; a lease that ran out belonged to a dead worker."""
    time = int(now())
    free = (jobs.c.lease_until < time) & jobs.c.status.in_((*WAITING, "running")) & jobs.c.wish.is_(None)
    oldest = connection.execute(select(jobs.c.id).where(free).order_by(jobs.c.seq).limit(1)).scalar()
    if oldest is None:
        return None
    changes = {"attempt": jobs.c.attempt + 1, "lease_until": time + LEASE_S}
    connection.execute(update(jobs).where(jobs.c.id == oldest).values(**changes))
    return connection.execute(select(jobs).where(jobs.c.id == oldest)).one()


def change_job(connection: Connection, id: str, attempt: int, **values: Any) -> bool:
    """Changes a job that is still this attempt's."""
    mine = (jobs.c.id == id) & (jobs.c.attempt == attempt)
    return connection.execute(update(jobs).where(mine).values(**values)).rowcount == 1


def renew(connection: Connection, id: str, attempt: int) -> str | None:
    """Moves the lease on; returns what the client wishes, or `lost` where another worker took the job."""
    if not change_job(connection, id, attempt, lease_until=int(now()) + LEASE_S):
        return "lost"
    wish: str | None = connection.execute(select(jobs.c.wish).where(jobs.c.id == id)).scalar()
    return wish


def add_event(
    connection: Connection,
    job: str,
    key: str,
    message: str,
    *,
    level: str = "info",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Adds an event unless the job has one of that key."""
    known = select(job_events.c.seq).where(job_events.c.job == job, job_events.c.key == key)
    if connection.execute(known).first() is not None:
        return
    content = None if data is None else json.dumps(data).encode()
    row = {"seq": next_seq(), "job": job, "key": key, "id": new_id("ftevent-"), "created_at": now()}
    connection.execute(job_events.insert(), {**row, "level": level, "message": message, "data": content})


def add_checkpoint(connection: Connection, job: str, model: str, step: int, metrics: Mapping[str, Any]) -> None:
    """Adds a checkpoint."""
    row = {"seq": next_seq(), "job": job, "id": new_id("ftckpt_"), "created_at": now(), "model": model, "step": step}
    connection.execute(job_checkpoints.insert(), {**row, "metrics": json.dumps(metrics).encode()})


def job_object(row: Row[Any]) -> dict[str, Any]:
    """A job as the API shows it."""
    asked = json.loads(row.request)
    outcome = json.loads(row.outcome) if row.outcome else {}
    used = outcome.get("hyperparameters") or hyperparameters(JobRequest(**asked))
    # The published list of states has none for a paused job; the SDK reads it as it is.
    return {
        "id": row.id,
        "object": "fine_tuning.job",
        "created_at": row.created_at,
        "error": outcome.get("error"),
        "fine_tuned_model": outcome.get("model"),
        "finished_at": row.finished_at,
        "hyperparameters": used,
        "model": asked["model"],
        "organization_id": row.project,
        "result_files": outcome.get("result_files", []),
        "status": row.status,
        "trained_tokens": outcome.get("trained_tokens"),
        "training_file": asked["training_file"],
        "validation_file": asked["validation_file"],
        "integrations": [],
        "seed": asked["seed"],
        "estimated_finish": None,
        "method": {"type": "supervised", "supervised": {"hyperparameters": used}},
        "metadata": asked["metadata"] or {},
        "user_provided_suffix": asked["suffix"],
    }


def event_object(row: Row[Any]) -> dict[str, Any]:
    """An event as the API shows it."""
    found = {
        "id": row.id,
        "object": "fine_tuning.job.event",
        "created_at": row.created_at,
        "level": row.level,
        "message": row.message,
        "type": "message" if row.data is None else "metrics",
    }
    return found if row.data is None else {**found, "data": json.loads(row.data)}


def checkpoint_object(row: Row[Any]) -> dict[str, Any]:
    """A checkpoint as the API shows it."""
    return {
        "id": row.id,
        "object": "fine_tuning.job.checkpoint",
        "created_at": row.created_at,
        "fine_tuned_model_checkpoint": row.model,
        "fine_tuning_job_id": row.job,
        "metrics": json.loads(row.metrics),
        "step_number": row.step,
    }


def num_alive(connection: Connection) -> int:
    """Jobs that are not ended."""
    return int(connection.execute(select(func.count()).where(jobs.c.status.not_in(ENDED))).scalar_one())


def digest_of_file(connection: Connection, project: str, id: str, param: str) -> str:
    """SHA-256 of a file of the project.

    Raises:
        ApiError: 404.
    """
    query = select(files.c.digest).where(files.c.project == project, files.c.id == id)
    digest: str | None = connection.execute(query).scalar()
    if digest is None:
        raise not_found("File object", id, param)
    return digest
