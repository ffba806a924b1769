"""Column types that mean the same in both databases."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import BigInteger, Connection, Integer, MetaData, Table

Define = Callable[[MetaData], Table]
"""Defines a table; it stands in the migration that makes it, and `tables.py` calls it."""

Seq = BigInteger().with_variant(Integer, "sqlite")
"""A place in time, see `ids.py`; SQLite keeps a table in the order of a primary key only if it is called INTEGER."""


def create(connection: Connection, *defines: Define) -> None:
    """Makes tables with their indexes."""
    metadata = MetaData()
    for define in defines:
        define(metadata)
    metadata.create_all(connection, checkfirst=False)
