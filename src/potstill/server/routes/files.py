"""/v1/files."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, delete, select
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from potstill.errors import StoreError
from potstill.server.bodies import check_length
from potstill.server.database.tables import files
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid, too_large
from potstill.server.files import add_file, drop_content, file_object, find_file, new_file
from potstill.server.ids import now
from potstill.server.log import log_failure
from potstill.server.pages import read_page

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
SHORTEST_S, LONGEST_S = 3600, 2_592_000
BATCH_FILE_S = 30 * 24 * 3600
OVERHEAD = 64 << 10
"""Bytes of a form beside its file."""


async def create(call: Call) -> dict[str, Any]:
    """Takes a form with `file` and `purpose`."""
    limit = call.services.settings.max_file_bytes
    async with read_form(call.request, limit + OVERHEAD) as form:
        purpose = text_of(form, "purpose")
        if purpose not in PURPOSES:
            raise invalid(
                f"Invalid 'purpose': '{purpose[:50]}' is not one of {', '.join(PURPOSES)}.", "purpose", "invalid_value"
            )
        lifetime_s = read_expiry(form.get("expires_after[anchor]"), form.get("expires_after[seconds]"))
        if purpose == "batch" and lifetime_s is None:
            lifetime_s = BATCH_FILE_S
        upload = file_of(form, "file")
        digest, size = await keep(call, upload, limit)
        row = new_file(
            call.project,
            filename=(upload.filename or "file")[:1000],
            purpose=purpose,
            digest=digest,
            size=size,
            lifetime_s=lifetime_s,
        )
    await call.services.database.write(lambda connection: add_file(connection, row))
    return file_object(row)


async def list_all(call: Call) -> dict[str, Any]:
    """The files of the project, the newest first."""
    query = call.request.query_params
    page = read_page(query, limit=10_000, max_limit=10_000)

    def find(connection: Connection) -> list[dict[str, Any]]:
        after = find_file(connection, call.project, page.after, "after").seq if page.after else None
        rows = select(files).where(files.c.project == call.project)
        rows = rows.where((files.c.expires_at.is_(None)) | (files.c.expires_at > now()))
        if "purpose" in query:
            rows = rows.where(files.c.purpose == query["purpose"])
        found = connection.execute(page.select(rows, files.c.seq, after)).mappings()
        return [file_object(row) for row in found]

    return page.page(await call.services.database.read(find))


async def retrieve(call: Call) -> dict[str, Any]:
    """One file."""
    row = await call.services.database.read(lambda c: find_file(c, call.project, call.path("file_id")))
    return file_object(row._mapping)


async def content(call: Call) -> Response:
    """Its bytes, as an attachment that no browser takes for a page."""
    row = await call.services.database.read(lambda c: find_file(c, call.project, call.path("file_id")))
    pieces = call.services.blobs.pieces(row.digest)
    try:
        first = await run_in_threadpool(next, pieces, b"")
    except StoreError as error:
        log_failure("file content", error, file=row.id)
        raise

    def rest() -> Any:
        yield first
        yield from pieces

    headers = {
        "content-length": str(row.bytes),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(row.filename, safe='')}",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(rest(), headers=headers, media_type="application/octet-stream")


async def remove(call: Call) -> dict[str, Any]:
    """Deletes a file, and its bytes where no other file has the same."""
    id = call.path("file_id")

    def change(connection: Connection) -> str:
        row = find_file(connection, call.project, id)
        connection.execute(delete(files).where(files.c.seq == row.seq))
        return str(row.digest)

    await drop_content(call.services, await call.services.database.write(change))
    return {"id": id, "object": "file", "deleted": True}


async def keep(call: Call, upload: UploadFile, limit: int) -> tuple[str, int]:
    """Puts an uploaded file into the store: its digest and size.

    Raises:
        ApiError: 413.
    """
    if upload.size is not None and upload.size > limit:
        raise too_large(f"The file is over {limit:,} bytes.")

    def copy() -> tuple[str, int]:
        with call.services.blobs.draft() as draft:
            while piece := upload.file.read(1 << 20):
                draft.write(piece)
            return draft.keep(), draft.size

    return await run_in_threadpool(copy)


def read_form(request: Request, limit: int) -> Any:
    """A multipart form, limited while it streams in; to be used as a context.

    Raises:
        ApiError: 400 or 413.
    """
    check_length(request, limit)
    if not re.match(r"multipart/form-data\s*;", request.headers.get("content-type", "")):
        raise invalid("Expected a form: Content-Type must be multipart/form-data.", code="invalid_content_type")
    receive, size = request.receive, 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large(f"The body of this request is over {limit:,} bytes.")
        return message

    return _Form(Request(request.scope, limited))


class _Form:
    """Reads on entry and closes its temporary files on exit."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def __aenter__(self) -> FormData:
        try:
            return await self._request.form(max_files=1, max_fields=20)
        except (MultiPartException, KeyError, ValueError) as error:
            raise invalid(f"The form can't be read: {str(error)[:200]}.", code="invalid_form") from None

    async def __aexit__(self, *_: object) -> None:
        await self._request.close()


def text_of(form: FormData, name: str) -> str:
    """A field of a form.

    Raises:
        ApiError: 400: it is missing.
    """
    value = form.get(name)
    if not isinstance(value, str):
        raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    return value


def file_of(form: FormData, name: str) -> UploadFile:
    """The file of a form.

    Raises:
        ApiError: 400: it is missing.
    """
    value = form.get(name)
    if not isinstance(value, UploadFile):
        raise invalid(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    return value


def read_expiry(anchor: Any, seconds: Any) -> int | None:
    """After how many seconds a file expires.

    Raises:
        ApiError: 400.
    """
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise invalid("Invalid 'expires_after.anchor': expected 'created_at'.", "expires_after.anchor", "invalid_value")
    text = str(seconds)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and SHORTEST_S <= int(text) <= LONGEST_S):
        raise invalid(
            f"Invalid 'expires_after.seconds': expected a whole number from {SHORTEST_S} to {LONGEST_S}.",
            "expires_after.seconds",
            "invalid_value",
        )
    return int(text)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/files",
        policy=Policy.PROJECT,
        handler=create,
        doc=Doc(
            answer="file",
            form={"file": True, "purpose": True, "expires_after[anchor]": False, "expires_after[seconds]": False},
        ),
    ),
    Endpoint(
        method="GET",
        path="/v1/files",
        policy=Policy.PROJECT,
        handler=list_all,
        doc=Doc(answer="page of file", query=("page", "purpose")),
    ),
    Endpoint(method="GET", path="/v1/files/{file_id}", policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="file")),
    Endpoint(
        method="DELETE", path="/v1/files/{file_id}", policy=Policy.PROJECT, handler=remove, doc=Doc(answer="file")
    ),
    Endpoint(
        method="GET",
        path="/v1/files/{file_id}/content",
        policy=Policy.PROJECT,
        handler=content,
        doc=Doc(answer="", media="application/octet-stream"),
    ),
)
