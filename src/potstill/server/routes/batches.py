"""/v1/batches."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, select

from potstill.server.batches.lines import ENDPOINT, MAX_BYTES
from potstill.server.batches.store import batch_object, find_batch, move
from potstill.server.database.tables import batches
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid
from potstill.server.files import find_file
from potstill.server.ids import new_id, next_seq, now
from potstill.server.pages import check_metadata, read_page
from potstill.server.routes.files import read_expiry

BATCHES = "/v1/batches"
WINDOW_S = 24 * 3600


class BatchRequest(msgspec.Struct, kw_only=True):
    """Body of `batches.create`."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: dict[str, Any] | None = None
    output_expires_after: dict[str, Any] | None = None


async def create(call: Call) -> dict[str, Any]:
    """Begins a batch; its file is checked in the background."""
    request: BatchRequest = call.body
    request.metadata = check_metadata(request.metadata) or {}
    if request.endpoint != ENDPOINT:
        raise invalid(f"Invalid 'endpoint': only {ENDPOINT} is served in batches.", "endpoint", "invalid_value")
    if (expiry := request.output_expires_after) is not None:
        read_expiry(expiry.get("anchor"), expiry.get("seconds"))
    row = {
        "seq": next_seq(),
        "project": call.project,
        "id": new_id("batch_"),
        "created_at": now(),
        "expires_at": now() + WINDOW_S,
        "status": "validating",
        "key_id": call.key.id,
        "request": msgspec.json.encode(request),
        "outcome": b"{}",
    }

    def write(connection: Connection) -> tuple[Row[Any], dict[str, Any]]:
        file = find_file(connection, call.project, request.input_file_id, "input_file_id")
        if file.purpose != "batch" or file.bytes > MAX_BYTES:
            raise invalid(
                f"Invalid 'input_file_id': expected a file with the purpose 'batch' of at most {MAX_BYTES:,} bytes.",
                "input_file_id",
                "invalid_input_file",
            )
        connection.execute(batches.insert(), {**row, "input_digest": file.digest})
        made = find_batch(connection, call.project, str(row["id"]))
        return made, batch_object(connection, made)

    made, shown = await call.services.database.write(write)
    call.services.batches.start(call.services, made)
    return shown


async def list_all(call: Call) -> dict[str, Any]:
    """The batches of the project, the newest first."""
    page = read_page(call.request.query_params)

    def find(connection: Connection) -> list[dict[str, Any]]:
        after = find_batch(connection, call.project, page.after, "after").seq if page.after else None
        rows = select(batches).where(batches.c.project == call.project)
        return [batch_object(connection, row) for row in connection.execute(page.select(rows, batches.c.seq, after))]

    return page.page(await call.services.database.read(find))


async def retrieve(call: Call) -> dict[str, Any]:
    """One batch."""

    def find(connection: Connection) -> dict[str, Any]:
        return batch_object(connection, find_batch(connection, call.project, call.path("batch_id")))

    return await call.services.database.read(find)


async def cancel(call: Call) -> dict[str, Any]:
    """Asks no more; what was answered is in the files once it is `cancelled`."""

    def write(connection: Connection) -> dict[str, Any]:
        row = find_batch(connection, call.project, call.path("batch_id"))
        if row.status != "cancelling":
            moved = move(connection, row.id, ("validating", "in_progress"), "cancelling")
            if moved is None:
                raise invalid(f"Batch {row.id} is {row.status} already.", "batch_id", "batch_ended")
            row = moved
        return batch_object(connection, row)

    shown = await call.services.database.write(write)
    call.services.batches.cancel(shown["id"])
    return shown


ENDPOINTS = (
    Endpoint(
        method="POST", path=BATCHES, policy=Policy.PROJECT, handler=create, body=BatchRequest, doc=Doc(answer="batch")
    ),
    Endpoint(
        method="GET",
        path=BATCHES,
        policy=Policy.PROJECT,
        handler=list_all,
        doc=Doc(answer="page of batch", query=("page",)),
    ),
    Endpoint(
        method="GET", path=f"{BATCHES}/{{batch_id}}", policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="batch")
    ),
    Endpoint(
        method="POST",
        path=f"{BATCHES}/{{batch_id}}/cancel",
        policy=Policy.PROJECT,
        handler=cancel,
        doc=Doc(answer="batch"),
    ),
)
