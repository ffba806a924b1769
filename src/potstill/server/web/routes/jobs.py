"""Jobs: list, one job, and what can be done about it; the same handlers as the API's."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from potstill.server.database.tables import job_checkpoints, job_events
from potstill.server.jobs.bases import AUTO
from potstill.server.jobs.store import checkpoint_object, find_job, job_object
from potstill.server.routes import fine_tuning
from potstill.server.web.asking import ask_all
from potstill.server.web.views.jobs import Checkpoint, Event, Job, JobRow, job_page, jobs_page
from potstill.server.web.views.playground import Playground
from potstill.server.web.visit import Visit, go_to, look, send

NUM_EVENTS = 5000
NUM_SHOWN = 200
TOKENS = "trained_tokens"


async def show_all(visit: Visit) -> str:
    """The list."""
    found = await fine_tuning.list_all(visit.call)
    rows = [
        JobRow(
            id=job["id"],
            status=job["status"],
            base=job["model"],
            model=job["fine_tuned_model"] or "",
            created_at=job["created_at"],
        )
        for job in found["data"]
    ]
    return jobs_page(visit.viewer, rows, older=f"/jobs?after={found['last_id']}" if found["has_more"] else "")


async def show_one(visit: Visit) -> str:
    """One job."""
    return job_page(visit.viewer, await _job(visit, None))


async def ask(visit: Visit) -> str:
    """The same with answers of the playground."""
    prompt = visit.sent("prompt")
    job = await _job(visit, None)
    answers = await ask_all(visit, student=job.model, base="" if job.base == AUTO else job.base, prompt=prompt)
    return job_page(visit.viewer, await _job(visit, Playground(prompt=prompt, answers=answers)))


async def cancel(visit: Visit) -> Response:
    """Stops it for good."""
    return _back_to(await fine_tuning.cancel(visit.call))


async def pause(visit: Visit) -> Response:
    """Stops it where it is."""
    return _back_to(await fine_tuning.pause(visit.call))


async def resume(visit: Visit) -> Response:
    """Goes on."""
    return _back_to(await fine_tuning.resume(visit.call))


def _back_to(job: dict[str, Any]) -> Response:
    return go_to(f"/jobs/{job['id']}")


async def _job(visit: Visit, asked: Playground | None) -> Job:
    id, project = visit.call.path("job_id"), visit.call.project

    def read(connection: Connection) -> tuple[Row[Any], list[Row[Any]], list[Row[Any]]]:
        row = find_job(connection, project, id)
        events = select(job_events).where(job_events.c.job == id).order_by(job_events.c.seq.desc()).limit(NUM_EVENTS)
        states = select(job_checkpoints).where(job_checkpoints.c.job == id).order_by(job_checkpoints.c.seq.desc())
        return row, list(connection.execute(events)), list(connection.execute(states))

    row, events, checkpoints = await visit.call.services.database.read(read)
    return _as_shown(job_object(row), events, [checkpoint_object(each) for each in checkpoints], asked)


def _as_shown(
    job: dict[str, Any], events: list[Row[Any]], checkpoints: list[dict[str, Any]], asked: Playground | None
) -> Job:
    metrics: dict[str, list[tuple[float, float]]] = defaultdict(list)
    progress = None
    for event in reversed(events):
        data = json.loads(event.data) if event.data else {}
        for name, value in data.items():
            if name not in ("step", "total_steps") and isinstance(value, int | float):
                metrics[name].append((data["step"], value))
        if data.get("total_steps"):
            progress = data["step"] / data["total_steps"]
    files = {"training": job["training_file"], "validation": job["validation_file"]}
    files["result"] = job["result_files"][0] if job["result_files"] else None
    settings = {**job["hyperparameters"], "seed": job["seed"], "suffix": job["user_provided_suffix"]}
    settings[TOKENS] = job[TOKENS]
    can_ask = job["status"] == "succeeded"
    return Job(
        id=job["id"],
        status=job["status"],
        base=job["model"],
        model=job["fine_tuned_model"] or "",
        created_at=job["created_at"],
        finished_at=job["finished_at"],
        settings={name: str(value) for name, value in settings.items() if value is not None},
        files={part: id for part, id in files.items() if id},
        metrics=metrics,
        events=[
            Event(created_at=event.created_at, level=event.level, message=event.message) for event in events[:NUM_SHOWN]
        ],
        checkpoints=[_checkpoint(each) for each in checkpoints],
        progress=progress,
        error=(job["error"] or {}).get("message", ""),
        playground=asked or (Playground() if can_ask else None),
    )


def _checkpoint(found: dict[str, Any]) -> Checkpoint:
    metrics = found["metrics"]
    loss, accuracy = (
        metrics.get(f"full_{name}", metrics.get(name)) for name in ("valid_loss", "valid_mean_token_accuracy")
    )
    model = found["fine_tuned_model_checkpoint"]
    return Checkpoint(id=found["id"], step=found["step_number"], model=model, loss=loss, accuracy=accuracy)


ENDPOINTS = (
    look("/jobs", show_all),
    look("/jobs/{job_id}", show_one),
    send("/jobs/{job_id}/ask", ask),
    send("/jobs/{job_id}/cancel", cancel),
    send("/jobs/{job_id}/pause", pause),
    send("/jobs/{job_id}/resume", resume),
)
