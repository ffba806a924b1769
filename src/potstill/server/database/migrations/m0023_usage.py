"""What was answered, by day, key, model and who answered: the figures of tokens and cost."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Table, Text

from potstill.server.database.types import create


def usage(metadata: MetaData) -> Table:
    """One row a day, key, model and answerer."""
    return Table(
        "usage",
        metadata,
        Column("project", Text, primary_key=True),
        Column("day", Integer, primary_key=True),  # since 1970, UTC
        Column("key", Text, primary_key=True),  # its id
        Column("model", Text, primary_key=True),  # as the client named it
        Column("answerer", Text, primary_key=True),  # `student`, or a teacher's name
        Column("calls", BigInteger, nullable=False),
        Column("prompt_tokens", BigInteger, nullable=False),
        Column("answer_tokens", BigInteger, nullable=False),
    )


def up(connection: Connection) -> None:
    """Makes it."""
    create(connection, usage)
