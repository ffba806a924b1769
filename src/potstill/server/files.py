"""Files of a project: rows here, bytes in the content-addressed store. Routes, jobs and evals use these functions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from potstill.server.database.tables import files, upload_parts
from potstill.server.errors import not_found
from potstill.server.ids import new_id, next_seq, now
from potstill.server.services import Services


def new_file(
    project: str, *, filename: str, purpose: str, digest: str, size: int, expires_at: int | None = None
) -> dict[str, Any]:
    """The row of a file whose bytes were kept."""
    return {
        "seq": next_seq(),
        "project": project,
        "id": new_id("file-"),
        "created_at": now(),
        "expires_at": expires_at,
        "filename": filename,
        "purpose": purpose,
        "bytes": size,
        "digest": digest,
        "status": "processed",
        "status_details": None,
    }


async def keep_file(services: Services, project: str, *, filename: str, purpose: str, content: bytes) -> dict[str, Any]:
    """Keeps bytes that the server made as a file, and returns its row."""
    digest = services.blobs.put(content)
    row = new_file(project, filename=filename, purpose=purpose, digest=digest, size=len(content))
    await services.database.write(lambda connection: add_file(connection, row))
    return row


def add_file(connection: Connection, row: dict[str, Any]) -> None:
    """Inserts it."""
    connection.execute(files.insert(), row)


def find_file(connection: Connection, project: str, id: str, param: str | None = "id") -> Row[Any]:
    """The row of a file.

    Raises:
        ApiError: 404: unknown, expired, or another project's.
    """
    row = connection.execute(select(files).where(files.c.project == project, files.c.id == id)).first()
    if row is None or (row.expires_at is not None and row.expires_at <= now()):
        raise not_found("File object", id, param)
    return row


def is_named(connection: Connection, digest: str) -> bool:
    """Whether a row still names a content."""
    queries = (select(table.c.digest).where(table.c.digest == digest).limit(1) for table in (files, upload_parts))
    return any(connection.execute(query).first() is not None for query in queries)


def file_object(row: Any) -> dict[str, Any]:
    """A row as the API shows it."""
    found = {
        "id": row["id"],
        "object": "file",
        "bytes": row["bytes"],
        "created_at": row["created_at"],
        "filename": row["filename"],
        "purpose": row["purpose"],
        "status": row["status"],
    }
    for name in ("expires_at", "status_details"):
        if row[name] is not None:
            found[name] = row[name]
    return found
