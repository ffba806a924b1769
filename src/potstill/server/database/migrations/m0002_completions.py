"""Stored chat completions, and their metadata as rows, so that a filter is a range of an index."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, LargeBinary, MetaData, Table, Text

from potstill.server.database.types import Seq, create


def completions(metadata: MetaData) -> Table:
    """One row an answer; `seq` is its place in time."""
    return Table(
        "completions",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("project", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("model", Text, nullable=False),
        Column("teacher", Text, nullable=False),  # who answered, for the licence of the row
        Column("expires_at", BigInteger),
        Column("body", LargeBinary, nullable=False),  # JSON as the API shows it
        Column("request", LargeBinary),  # JSON of what was asked
        Column("request_blob", Text),  # or its digest, where it is too large for a row
        Index("completions_id", "project", "id", unique=True),
        Index("completions_page", "project", "seq"),
        Index("completions_model", "project", "model", "seq"),
        Index("completions_blob", "request_blob"),
        Index("completions_expiry", "expires_at"),
    )


def completion_metadata(metadata: MetaData) -> Table:
    """One row a pair."""
    return Table(
        "completion_metadata",
        metadata,
        Column("project", Text, primary_key=True),
        Column("key", Text, primary_key=True),
        Column("value", Text, primary_key=True),
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Index("completion_metadata_seq", "seq"),
        sqlite_with_rowid=False,
    )


def up(connection: Connection) -> None:
    """Makes both."""
    create(connection, completions, completion_metadata)
