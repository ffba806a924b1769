"""Files of a project: rows here, bytes in the content-addressed store. Routes, jobs and evals use these functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, exists, select

from potstill.server.database.tables import batches, completions, files, upload_parts
from potstill.server.errors import not_found
from potstill.server.ids import new_id, next_seq, now
from potstill.server.owned import find_owned

if TYPE_CHECKING:
    from potstill.server.services import Services

NAMING = (files.c.digest, upload_parts.c.digest, completions.c.request_blob, batches.c.input_digest)
"""Columns that name contents; a new one belongs here, or its contents are deleted with those of others."""


def new_file(
    project: str, *, filename: str, purpose: str, digest: str, size: int, lifetime_s: int | None = None
) -> dict[str, Any]:
    """The row of a file whose bytes were kept; it expires `lifetime_s` after it was made, to the second."""
    created_at = now()
    return {
        "seq": next_seq(),
        "project": project,
        "id": new_id("file-"),
        "created_at": created_at,
        "expires_at": None if lifetime_s is None else created_at + lifetime_s,
        "filename": filename,
        "purpose": purpose,
        "bytes": size,
        "digest": digest,
        "status": "processed",
        "status_details": None,
    }


def add_file(connection: Connection, row: dict[str, Any]) -> None:
    """Inserts it."""
    connection.execute(files.insert(), row)


def find_file(connection: Connection, project: str, id: str, param: str | None = "id") -> Row[Any]:
    """The row of a file.

    Raises:
        ApiError: 404: unknown, expired, or another project's.
    """
    row = find_owned(connection, files, "File object", project, id, param)
    if row.expires_at is not None and row.expires_at <= now():
        raise not_found("File object", id, param)
    return row


async def drop_content(services: Services, digest: str | None) -> None:
    """Deletes bytes that no row names any more."""

    def sweep(connection: Connection) -> None:
        # All writes run one after the other, so nobody names the bytes between the look and the deletion.
        if digest and not any(connection.scalar(select(exists().where(name == digest))) for name in NAMING):
            services.blobs.remove(digest)

    if digest:
        await services.database.write(sweep)


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
