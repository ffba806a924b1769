"""/v1/fine_tuning/jobs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, select, update

from potstill.server.database.tables import job_checkpoints, job_events, jobs
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid, not_found
from potstill.server.ids import new_id, next_seq, now
from potstill.server.jobs.request import JobRequest, check_request
from potstill.server.jobs.store import (
    ENDED,
    WAITING,
    add_event,
    checkpoint_object,
    digest_of_file,
    event_object,
    find_job,
    job_object,
)
from potstill.server.pages import metadata_filter, read_page

JOBS = "/v1/fine_tuning/jobs"


async def create(call: Call) -> dict[str, Any]:
    """Makes a job; it starts as soon as the one before it has ended."""
    request: JobRequest = call.body
    check_request(request, call.services.settings.base_paths())
    request.seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    row = {
        "seq": next_seq(),
        "project": call.project,
        "id": new_id("ftjob-"),
        "created_at": now(),
        "status": "validating_files",
        "request": msgspec.json.encode(request),
        "attempt": 0,
        "lease_until": 0,
    }

    def change(connection: Connection) -> Row[Any]:
        training = digest_of_file(connection, call.project, request.training_file, "training_file")
        validation = None
        if request.validation_file:
            validation = digest_of_file(connection, call.project, request.validation_file, "validation_file")
        connection.execute(jobs.insert(), {**row, "training_digest": training, "validation_digest": validation})
        add_event(connection, str(row["id"]), "created", f"Created fine-tuning job: {row['id']}")
        return find_job(connection, call.project, str(row["id"]))

    found = await call.services.database.write(change)
    call.services.jobs.wake()
    return job_object(found)


async def list_all(call: Call) -> dict[str, Any]:
    """The jobs of the project, the newest first."""
    query = call.request.query_params
    page = read_page(query)
    wanted = metadata_filter(query)

    def find(connection: Connection) -> list[dict[str, Any]]:
        after = find_job(connection, call.project, page.after, "after").seq if page.after else None
        rows = select(jobs).where(jobs.c.project == call.project)
        if not wanted and query.get("metadata") != "null":
            return [job_object(row) for row in connection.execute(page.select(rows, jobs.c.seq, after))]
        if after is not None:
            rows = rows.where(jobs.c.seq < after)
        found = []
        for row in connection.execute(rows.order_by(jobs.c.seq.desc())):
            item = job_object(row)
            if wanted.items() <= item["metadata"].items() and (wanted or not item["metadata"]):
                found.append(item)
            if len(found) > page.limit:
                break
        return found

    return page.page(await call.services.database.read(find))


async def retrieve(call: Call) -> dict[str, Any]:
    """One job."""
    return job_object(await call.services.database.read(lambda c: find_job(c, call.project, call.path("job_id"))))


async def list_events(call: Call) -> dict[str, Any]:
    """Its events, the newest first."""
    return await _list_of(call, job_events, event_object, 20)


async def list_checkpoints(call: Call) -> dict[str, Any]:
    """Its checkpoints, the newest first."""
    return await _list_of(call, job_checkpoints, checkpoint_object, 10)


async def _list_of(call: Call, table: Table, show: Callable[[Row[Any]], dict[str, Any]], limit: int) -> dict[str, Any]:
    page = read_page(call.request.query_params, limit=limit)

    def find(connection: Connection) -> list[dict[str, Any]]:
        job = find_job(connection, call.project, call.path("job_id"))
        rows = select(table).where(table.c.job == job.id)
        after: int | None = None
        if page.after:
            query = select(table.c.seq).where(table.c.job == job.id, table.c.id == page.after)
            after = connection.execute(query).scalar()
            if after is None:
                raise not_found("object", page.after, "after")
        return [show(row) for row in connection.execute(page.select(rows, table.c.seq, after))]

    return page.page(await call.services.database.read(find))


async def cancel(call: Call) -> dict[str, Any]:
    """Stops it for good."""
    return await _wish(call, "cancel")


async def pause(call: Call) -> dict[str, Any]:
    """Stops it where it is."""
    return await _wish(call, "pause")


async def resume(call: Call) -> dict[str, Any]:
    """Lets a paused job go on from its last checkpoint."""

    def change(connection: Connection) -> Row[Any]:
        row = find_job(connection, call.project, call.path("job_id"))
        if row.status != "paused":
            raise invalid(f"Job {row.id} is {row.status}, and only a paused job can be resumed.", "id", "not_paused")
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(status="queued", lease_until=0, wish=None))
        add_event(connection, row.id, f"resume {row.attempt}", "Fine-tuning job resumed")
        return find_job(connection, call.project, row.id)

    found = await call.services.database.write(change)
    call.services.jobs.wake()
    return job_object(found)


async def _wish(call: Call, wish: str) -> dict[str, Any]:
    """Asks the worker; a job that nobody works at is changed at once."""

    def change(connection: Connection) -> Row[Any]:
        row = find_job(connection, call.project, call.path("job_id"))
        state = "cancelled" if wish == "cancel" else "paused"
        if row.status in ENDED or row.status == state:
            raise invalid(f"Job {row.id} is {row.status} already.", "id", "job_ended")
        values: dict[str, Any] = {"wish": wish}
        if row.status == "paused" or (row.status in WAITING and row.lease_until < now()):
            values = {"status": state, "finished_at": now() if wish == "cancel" else None}
            message = f"Fine-tuning job {state}"
            add_event(connection, row.id, f"{wish} {row.attempt} waiting", message)
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(**values))
        return find_job(connection, call.project, row.id)

    found = await call.services.database.write(change)
    call.services.jobs.wake()
    return job_object(found)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=JOBS,
        policy=Policy.PROJECT,
        handler=create,
        body=JobRequest,
        doc=Doc(answer="fine_tuning.job"),
    ),
    Endpoint(
        method="GET",
        path=JOBS,
        policy=Policy.PROJECT,
        handler=list_all,
        doc=Doc(answer="page of fine_tuning.job", query=("page", "metadata")),
    ),
    Endpoint(
        method="GET",
        path=f"{JOBS}/{{job_id}}",
        policy=Policy.PROJECT,
        handler=retrieve,
        doc=Doc(answer="fine_tuning.job"),
    ),
    Endpoint(
        method="GET",
        path=f"{JOBS}/{{job_id}}/events",
        policy=Policy.PROJECT,
        handler=list_events,
        doc=Doc(answer="page of fine_tuning.job.event", query=("page",)),
    ),
    Endpoint(
        method="GET",
        path=f"{JOBS}/{{job_id}}/checkpoints",
        policy=Policy.PROJECT,
        handler=list_checkpoints,
        doc=Doc(answer="page of fine_tuning.job.checkpoint", query=("page",)),
    ),
    Endpoint(
        method="POST",
        path=f"{JOBS}/{{job_id}}/cancel",
        policy=Policy.PROJECT,
        handler=cancel,
        doc=Doc(answer="fine_tuning.job"),
    ),
    Endpoint(
        method="POST",
        path=f"{JOBS}/{{job_id}}/pause",
        policy=Policy.PROJECT,
        handler=pause,
        doc=Doc(answer="fine_tuning.job"),
    ),
    Endpoint(
        method="POST",
        path=f"{JOBS}/{{job_id}}/resume",
        policy=Policy.PROJECT,
        handler=resume,
        doc=Doc(answer="fine_tuning.job"),
    ),
)
