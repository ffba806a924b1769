"""Deletes what was to be kept for a while only: files, uploads that nobody finished, completions by retention."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Connection, delete, select

from potstill.server.completions import remove
from potstill.server.database.tables import completions, files, upload_parts, uploads
from potstill.server.files import drop_content
from potstill.server.ids import now
from potstill.server.log import log, log_failure
from potstill.server.services import Services

EVERY_S = 60.0
BATCH = 500
"""Rows deleted at once, so that other writes wait for a moment only."""


@asynccontextmanager
async def expiring(services: Services) -> AsyncIterator[None]:
    """Looks every minute while the context lasts."""
    task = asyncio.create_task(_forever(services))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def delete_expired(services: Services) -> int:
    """Deletes what has expired, and returns how many rows that were."""
    total = 0
    while True:
        num_rows, digests = await services.database.write(_expired)
        for digest in digests:
            await drop_content(services, digest)
        total += num_rows
        if num_rows < BATCH:
            return total


def _expired(connection: Connection) -> tuple[int, set[str]]:
    time, digests, num_rows = now(), set(), 0
    for row in connection.execute(select(completions).where(completions.c.expires_at <= time).limit(BATCH)).all():
        remove(connection, row)
        digests |= {row.request_blob} - {None}
        num_rows += 1
    for row in connection.execute(select(files).where(files.c.expires_at <= time).limit(BATCH)).all():
        connection.execute(delete(files).where(files.c.seq == row.seq))
        digests.add(row.digest)
        num_rows += 1
    unfinished = select(uploads.c.id).where(uploads.c.expires_at <= time, uploads.c.status == "pending")
    for row in connection.execute(select(upload_parts).where(upload_parts.c.upload_id.in_(unfinished)).limit(BATCH)):
        connection.execute(delete(upload_parts).where(upload_parts.c.id == row.id))
        digests.add(row.digest)
        num_rows += 1
    return num_rows, digests


async def _forever(services: Services) -> None:
    while True:
        try:
            if num_rows := await delete_expired(services):
                log("expired", num_rows=num_rows)
        except Exception as error:
            log_failure("expiry", error)
        await asyncio.sleep(EVERY_S)
