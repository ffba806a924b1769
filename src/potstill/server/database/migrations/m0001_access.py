"""Projects, and the keys that open them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, MetaData, Table, Text

from potstill.server.database.types import create


def projects(metadata: MetaData) -> Table:
    """Everything belongs to a project; nothing is seen from another."""
    return Table(
        "projects",
        metadata,
        Column("id", Text, primary_key=True),
        Column("name", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
    )


def keys(metadata: MetaData) -> Table:
    """Hashes of keys; a key itself is shown once and never kept."""
    return Table(
        "keys",
        metadata,
        Column("hash", Text, primary_key=True),
        Column("id", Text, nullable=False, unique=True),
        Column("project", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("hint", Text, nullable=False),  # its last characters, to tell keys apart
        Column("is_admin", Boolean, nullable=False),
        Column("may_store", Boolean, nullable=False),
        Column("retention_s", BigInteger),  # after which its stored completions are deleted
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger),
        Column("revoked_at", BigInteger),
        Index("keys_of_project", "project", "created_at"),
    )


def up(connection: Connection) -> None:
    """Makes both."""
    create(connection, projects, keys)
