"""Trained students that answer chat completions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, LargeBinary, MetaData, Table, Text

from potstill.server.database.types import Seq, create


def models(metadata: MetaData) -> Table:
    """One row a student, named `ft:BASE:ORGANISATION:SUFFIX:ID`."""
    return Table(
        "models",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("project", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("base", Text, nullable=False),
        Column("kind", Text, nullable=False),  # who answers: see `server/models`
        Column("folder", Text, nullable=False),  # of the bundle, relative to the data folder
        Column("template", LargeBinary, nullable=False),  # JSON of a `compiling.Task`
        Index("models_id", "project", "id", unique=True),
        Index("models_page", "project", "seq"),
    )


def up(connection: Connection) -> None:
    """Makes it."""
    create(connection, models)
