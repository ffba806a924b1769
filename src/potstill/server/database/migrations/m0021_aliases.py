"""Other names of models, so that code which asks for an old `ft:` name goes on."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text

from potstill.server.database.types import create


def aliases(metadata: MetaData) -> Table:
    """One row a name."""
    return Table(
        "aliases",
        metadata,
        Column("project", Text, primary_key=True),
        Column("name", Text, primary_key=True),
        Column("target", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
    )


def up(connection: Connection) -> None:
    """Makes it."""
    create(connection, aliases)
