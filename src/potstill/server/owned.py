"""Rows by the name that the API has for them, limited to a project."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Table, select

from potstill.server.errors import not_found


def find_owned(connection: Connection, table: Table, what: str, project: str, id: str, param: str | None) -> Row[Any]:
    """The row of that name.

    Raises:
        ApiError: 404: unknown, or another project's.
    """
    row = connection.execute(select(table).where(table.c.project == project, table.c.id == id)).first()
    if row is None:
        raise not_found(what, id, param)
    return row
