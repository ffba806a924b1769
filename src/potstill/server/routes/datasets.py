"""/v1/potstill/datasets: a training file from stored completions."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from potstill.server.datasets import Findings, questions_of, write_dataset
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid
from potstill.server.files import add_file, find_file, new_file
from potstill.server.matching import Filter


class DatasetFilter(msgspec.Struct, forbid_unknown_fields=True):
    """As `Filter`; a mistyped name would silently take everything, so it is refused."""

    model: str | None = None
    metadata: dict[str, str] | None = None
    created_after: int | None = None
    created_before: int | None = None
    text: str | None = None


class Create(msgspec.Struct):
    """What to take, and what not to train on."""

    filter: DatasetFilter = msgspec.field(default_factory=DatasetFilter)
    held_out_file: str | None = None
    filename: str = "dataset.jsonl"


async def create(call: Call) -> dict[str, Any]:
    """Makes the file; the findings say what was left out and why."""
    body: Create = call.body
    services, wanted = call.services, body.filter
    held_out: set[bytes] = set()
    if body.held_out_file is not None:
        id = body.held_out_file
        row = await services.database.read(lambda c: find_file(c, call.project, id, "held_out_file"))
        held_out = questions_of(await run_in_threadpool(services.blobs.read, row.digest))
    filter = Filter(
        model=wanted.model,
        metadata=wanted.metadata or {},
        created_after=wanted.created_after,
        created_before=wanted.created_before,
        text=wanted.text,
    )

    def write() -> tuple[Findings, str, int]:
        with services.blobs.draft() as draft:
            found = write_dataset(services.database, services.blobs, call.project, filter, held_out, draft)
            return found, draft.keep() if found.num_rows else "", draft.size

    found, digest, size = await run_in_threadpool(write)
    if not found.num_rows:
        raise invalid(
            f"The filter found {found.num_matched} stored completions, and none of them can be trained on.",
            "filter",
            "empty_dataset",
        )
    file = new_file(call.project, filename=body.filename[:1000], purpose="fine-tune", digest=digest, size=size)
    await services.database.write(lambda connection: add_file(connection, file))
    return {"object": "potstill.dataset", "file_id": file["id"], "bytes": size, **found.to_json()}


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/potstill/datasets",
        policy=Policy.PROJECT,
        handler=create,
        body=Create,
        doc=Doc(answer="potstill.dataset"),
    ),
)
