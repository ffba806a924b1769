"""Sessions of browsers that signed in with a key."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, Table, Text

from potstill.server.database.types import create


def sessions(metadata: MetaData) -> Table:
    """One row a session; the cookie itself is never kept."""
    return Table(
        "sessions",
        metadata,
        Column("hash", Text, primary_key=True),
        Column("key_id", Text, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Index("sessions_expiry", "expires_at"),
    )


def up(connection: Connection) -> None:
    """Makes it."""
    create(connection, sessions)
