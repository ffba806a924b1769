"""Batches in the database, and as the API shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from potstill.server.answerers import Json
from potstill.server.database.tables import batch_lines, batches
from potstill.server.ids import now
from potstill.server.owned import find_owned

OPEN = ("validating", "in_progress", "finalizing", "cancelling")
SHOWN = ("errors", "output_file_id", "error_file_id", "usage", "model")


def find_batch(connection: Connection, project: str, id: str, param: str | None = "batch_id") -> Row[Any]:
    """The row of one.

    Raises:
        ApiError: 404: unknown, or another project's.
    """
    return find_owned(connection, batches, "batch", project, id, param)


def move(connection: Connection, id: str, states: Sequence[str], status: str, **outcome: Any) -> Row[Any] | None:
    """Moves a batch on from one of some states, notes when, and returns it; None where it is in another."""
    row = connection.execute(select(batches).where(batches.c.id == id, batches.c.status.in_(states))).first()
    if row is None:
        return None
    noted = {**json.loads(row.outcome), f"{status}_at": now(), **outcome}
    values: Json = {"status": status, "outcome": json.dumps(noted).encode()}
    if status not in OPEN:
        connection.execute(delete(batch_lines).where(batch_lines.c.batch == id))
        values["input_digest"] = None
    connection.execute(update(batches).where(batches.c.seq == row.seq).values(**values))
    return connection.execute(select(batches).where(batches.c.seq == row.seq)).one()


def counts_of(connection: Connection, id: str) -> tuple[int, int]:
    """How many lines were answered, and how many failed."""
    query = select(batch_lines.c.is_error, func.count()).where(batch_lines.c.batch == id)
    found = {bool(is_error): count for is_error, count in connection.execute(query.group_by(batch_lines.c.is_error))}
    return found.get(False, 0), found.get(True, 0)


def batch_object(connection: Connection, row: Row[Any]) -> Json:
    """A batch as the API shows it; what isn't known yet is left out."""
    asked, noted = json.loads(row.request), json.loads(row.outcome)
    completed, failed = counts_of(connection, row.id) if row.status in OPEN else noted.get("counts", (0, 0))
    return {
        "id": row.id,
        "object": "batch",
        "endpoint": asked["endpoint"],
        "input_file_id": asked["input_file_id"],
        "completion_window": asked["completion_window"],
        "status": row.status,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "metadata": asked["metadata"],
        "request_counts": {"total": noted.get("total", 0), "completed": completed, "failed": failed},
        **{name: value for name, value in noted.items() if name in SHOWN or name.endswith("_at")},
    }
