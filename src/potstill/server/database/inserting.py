"""Rows of many requests into a table, many in one statement.

SQLite's driver lets other threads run at every step of a statement, and getting the interpreter back from a busy server
takes far longer than a row does; so a statement holds as many rows as it can.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam
from sqlalchemy.dialects import sqlite

SIZES = (128, 32, 8, 2, 1)
"""Rows of a statement. There are few sizes, so that the driver keeps all statements prepared."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows in their order; a column that a row leaves out is null."""
    if connection.dialect.name != "sqlite":
        connection.execute(table.insert(), rows)
        return
    names = tuple(table.columns.keys())
    start = 0
    for size in SIZES:
        while len(rows) - start >= size:
            values = tuple(row.get(name) for row in rows[start : start + size] for name in names)
            connection.exec_driver_sql(_statement(table, size), values)
            start += size


@cache
def _statement(table: Table, size: int) -> str:
    """SQLite's text, with its values in the order of rows and, within one, of columns."""
    names = tuple(table.columns.keys())
    rows: list[dict[str, Any]] = [{name: bindparam(f"{name}_{i}") for name in names} for i in range(size)]
    compiled = table.insert().values(rows).compile(dialect=sqlite.dialect(paramstyle="qmark"))
    order = getattr(compiled, "positiontup", None)
    assert order == [f"{name}_{i}" for i in range(size) for name in names], f"{table.name}: {order}"
    return str(compiled)
