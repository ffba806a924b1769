"""Secrets of clients that talk for a while, each for one model and made with a key."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, Table, Text

from potstill.server.database.types import create


def client_secrets(metadata: MetaData) -> Table:
    """One row a secret, which itself is never kept."""
    return Table(
        "client_secrets",
        metadata,
        Column("hash", Text, primary_key=True),
        Column("key_id", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("session", Text, nullable=False),  # JSON, as it was wished
        Column("expires_at", BigInteger, nullable=False),
        Index("client_secrets_expiry", "expires_at"),
    )


def up(connection: Connection) -> None:
    """Makes it."""
    create(connection, client_secrets)
