"""/v1/potstill/imports: completions, evals and jobs that were made elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from potstill.server.bodies import read_bytes
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import forbidden
from potstill.server.importing.completions import Origin, import_lines
from potstill.server.importing.evals import EvalImport, import_eval
from potstill.server.importing.jobs import JobImport, import_job, keep_results
from potstill.server.pages import check_metadata, metadata_filter


async def create(call: Call) -> dict[str, Any]:
    """Takes JSONL of stored completions or of fine-tuning lines; a line that can't be used is named and passed over."""
    if not call.key.may_store:
        raise forbidden("Nothing that is sent with this key is kept, so it can't import.", "may_not_store")
    query = call.request.query_params
    content = await read_bytes(call.request, call.services.settings.max_body_bytes)
    origin = Origin(
        key=call.key,
        model=query.get("model", ""),
        teacher=query.get("teacher", ""),
        metadata=check_metadata(metadata_filter(query)) or {},
    )
    found = await run_in_threadpool(import_lines, call.services, origin, content)
    return {"object": "potstill.import", **asdict(found)}


async def create_eval(call: Call) -> dict[str, Any]:
    """Takes an eval, and a run of it with output items."""
    found = await call.services.database.write(lambda c: import_eval(c, call.project, call.body))
    return {"object": "potstill.import", **found}


async def create_job(call: Call) -> dict[str, Any]:
    """Takes a job with its events and its result file."""
    body: JobImport = call.body
    file = None
    if body.results_csv is not None:
        file = await run_in_threadpool(keep_results, call.services.blobs, call.project, body.results_csv)

    def write(connection: Connection) -> dict[str, Any]:
        return import_job(connection, call.project, body, file)

    return await call.services.database.write(write)


PATH = "/v1/potstill/imports"
ENDPOINTS = (
    Endpoint(
        method="POST",
        path=PATH,
        policy=Policy.PROJECT,
        handler=create,
        doc=Doc(answer="potstill.import", query=("model", "teacher", "metadata"), raw="application/jsonl"),
    ),
    Endpoint(
        method="POST",
        path=PATH + "/evals",
        policy=Policy.PROJECT,
        handler=create_eval,
        body=EvalImport,
        doc=Doc(answer="potstill.import"),
    ),
    Endpoint(
        method="POST",
        path=PATH + "/jobs",
        policy=Policy.PROJECT,
        handler=create_job,
        body=JobImport,
        doc=Doc(answer="json"),
    ),
)
