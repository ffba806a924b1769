"""/v1/uploads: a file in parts."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, update
from starlette.concurrency import run_in_threadpool

from potstill.server.database.tables import upload_parts, uploads
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import invalid
from potstill.server.files import add_file, drop_content, file_object, find_file, new_file
from potstill.server.ids import new_id, now
from potstill.server.owned import find_owned
from potstill.server.routes.files import OVERHEAD, PURPOSES, file_of, keep, read_expiry, read_form

MAX_UPLOAD_BYTES = 8 << 30
MAX_PART_BYTES = 64 << 20
LIFE_S = 3600
ONE = "/v1/uploads/{upload_id}"


class Expiry(msgspec.Struct):
    """When the finished file goes."""

    anchor: str
    seconds: int


class Create(msgspec.Struct):
    """What is going to come."""

    bytes: int
    filename: str
    mime_type: str
    purpose: str
    expires_after: Expiry | None = None


class Complete(msgspec.Struct):
    """In which order the parts belong, and what the whole should be."""

    part_ids: list[str]
    md5: str | None = None


async def create(call: Call) -> dict[str, Any]:
    """Opens an upload."""
    body: Create = call.body
    if body.purpose not in PURPOSES:
        raise invalid(f"Invalid 'purpose': it is not one of {', '.join(PURPOSES)}.", "purpose", "invalid_value")
    if not 0 < body.bytes <= MAX_UPLOAD_BYTES:
        raise invalid(f"Invalid 'bytes': expected a number from 1 to {MAX_UPLOAD_BYTES}.", "bytes", "invalid_value")
    after = body.expires_after
    if after:
        read_expiry(after.anchor, after.seconds)
    row = {
        "id": new_id("upload_"),
        "project": call.project,
        "created_at": now(),
        "expires_at": now() + LIFE_S,
        "filename": body.filename[:1000],
        "purpose": body.purpose,
        "mime_type": body.mime_type[:200],
        "bytes": body.bytes,
        "status": "pending",
        "file_id": None,
        "file_expires_s": after.seconds if after else None,
    }
    await call.services.database.write(lambda connection: connection.execute(uploads.insert(), row) and None)
    return upload_object(row)


async def add_part(call: Call) -> dict[str, Any]:
    """Takes one part, in any order."""
    id = call.path("upload_id")
    await call.services.database.read(lambda connection: _pending(connection, call.project, id))
    async with read_form(call.request, MAX_PART_BYTES + OVERHEAD) as form:
        digest, size = await keep(call, file_of(form, "data"), MAX_PART_BYTES)
    row = {"id": new_id("part_"), "upload_id": id, "created_at": now(), "bytes": size, "digest": digest}

    def write(connection: Connection) -> None:
        _pending(connection, call.project, id)
        connection.execute(upload_parts.insert(), row)

    await call.services.database.write(write)
    return {"id": row["id"], "object": "upload.part", "created_at": row["created_at"], "upload_id": id}


async def complete(call: Call) -> dict[str, Any]:
    """Puts the parts together as a file."""
    id, body = call.path("upload_id"), call.body
    upload, parts = await call.services.database.read(lambda c: (_pending(c, call.project, id), _parts(c, id)))
    unknown = [part for part in body.part_ids if part not in parts]
    if unknown or len(set(body.part_ids)) != len(body.part_ids):
        raise invalid(
            "Invalid 'part_ids': expected each part of this upload at most once.", "part_ids", "invalid_value"
        )
    size = sum(parts[part].bytes for part in body.part_ids)
    if size != upload.bytes:
        raise invalid(
            f"The parts have {size} bytes, and the upload was announced with {upload.bytes}.", "part_ids", "wrong_size"
        )
    digest = await run_in_threadpool(_join, call, [parts[part].digest for part in body.part_ids], body.md5)
    row = new_file(
        call.project,
        filename=upload.filename,
        purpose=upload.purpose,
        digest=digest,
        size=size,
        lifetime_s=upload.file_expires_s or None,
    )

    def write(connection: Connection) -> None:
        _pending(connection, call.project, id)
        add_file(connection, row)
        _close(connection, id, status="completed", file_id=row["id"])

    await call.services.database.write(write)
    await _drop_parts(call, parts)
    return {**upload_object({**upload._mapping, "status": "completed"}), "file": file_object(row)}


async def cancel(call: Call) -> dict[str, Any]:
    """Gives it up."""
    id = call.path("upload_id")

    def write(connection: Connection) -> tuple[Row[Any], dict[str, Row[Any]]]:
        upload, parts = _pending(connection, call.project, id), _parts(connection, id)
        _close(connection, id, status="cancelled", file_id=None)
        return upload, parts

    upload, parts = await call.services.database.write(write)
    await _drop_parts(call, parts)
    return upload_object({**upload._mapping, "status": "cancelled"})


def upload_object(row: Any) -> dict[str, Any]:
    """A row as the API shows it."""
    names = ("id", "created_at", "filename", "bytes", "purpose", "status", "expires_at")
    return {"object": "upload", **{name: row[name] for name in names}}


def _pending(connection: Connection, project: str, id: str) -> Row[Any]:
    """An upload that still takes parts.

    Raises:
        ApiError: 404, or 400 when it is closed.
    """
    row = find_owned(connection, uploads, "Upload object", project, id, "id")
    status = "expired" if row.status == "pending" and row.expires_at <= now() else row.status
    if status != "pending":
        raise invalid(f"This upload is {status}.", code=f"upload_{status}")
    return row


def _parts(connection: Connection, id: str) -> dict[str, Row[Any]]:
    return {row.id: row for row in connection.execute(select(upload_parts).where(upload_parts.c.upload_id == id))}


def _close(connection: Connection, id: str, *, status: str, file_id: str | None) -> None:
    connection.execute(update(uploads).where(uploads.c.id == id).values(status=status, file_id=file_id))
    connection.execute(delete(upload_parts).where(upload_parts.c.upload_id == id))


async def _drop_parts(call: Call, parts: dict[str, Row[Any]]) -> None:
    for digest in {part.digest for part in parts.values()}:
        await drop_content(call.services, digest)


def _join(call: Call, digests: list[str], md5: str | None) -> str:
    found = hashlib.md5(usedforsecurity=False)
    with call.services.blobs.draft() as draft:
        for digest in digests:
            for piece in call.services.blobs.pieces(digest):
                found.update(piece)
                draft.write(piece)
        if md5 is not None and found.hexdigest() != md5.lower():
            raise invalid("The parts have another MD5 than the one given.", "md5", "wrong_checksum")
        return draft.keep()


async def retrieve(call: Call) -> dict[str, Any]:
    """One; OpenAI has no such method, and a client that lost its answer needs it."""

    def find(connection: Connection) -> tuple[Row[Any], dict[str, Any] | None]:
        row = find_owned(connection, uploads, "Upload object", call.project, call.path("upload_id"), "id")
        file = find_file(connection, call.project, row.file_id)._mapping if row.file_id else None
        return row, file_object(file) if file else None

    row, file = await call.services.database.read(find)
    return {**upload_object(row._mapping), **({"file": file} if file else {})}


ENDPOINTS = (
    Endpoint(
        method="POST", path="/v1/uploads", policy=Policy.PROJECT, handler=create, body=Create, doc=Doc(answer="upload")
    ),
    Endpoint(method="GET", path=ONE, policy=Policy.PROJECT, handler=retrieve, doc=Doc(answer="upload")),
    Endpoint(
        method="POST",
        path=ONE + "/parts",
        policy=Policy.PROJECT,
        handler=add_part,
        doc=Doc(answer="upload.part", form={"data": True}),
    ),
    Endpoint(
        method="POST",
        path=ONE + "/complete",
        policy=Policy.PROJECT,
        handler=complete,
        body=Complete,
        doc=Doc(answer="upload"),
    ),
    Endpoint(method="POST", path=ONE + "/cancel", policy=Policy.PROJECT, handler=cancel, doc=Doc(answer="upload")),
)
