"""Batches of requests, and what was answered as long as a batch runs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Connection, Index, Integer, LargeBinary, MetaData, Table, Text

from potstill.server.database.types import Seq, create


def batches(metadata: MetaData) -> Table:
    """One row a batch."""
    return Table(
        "batches",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("project", Text, nullable=False),
        Column("id", Text, nullable=False, unique=True),
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("status", Text, nullable=False),
        Column("key_id", Text, nullable=False),
        Column("input_digest", Text),  # null once it has ended, so that its file can be deleted
        Column("request", LargeBinary, nullable=False),  # JSON as the client sent it
        Column("outcome", LargeBinary, nullable=False),  # JSON: times, counts, files, errors, usage
        Index("batches_page", "project", "seq"),
        Index("batches_status", "status"),
        Index("batches_input", "input_digest"),
    )


def batch_lines(metadata: MetaData) -> Table:
    """One row an answered line; they become files at the end."""
    return Table(
        "batch_lines",
        metadata,
        Column("batch", Text, primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("is_error", Boolean, nullable=False),
        Column("body", LargeBinary, nullable=False),  # JSON as it stands in the file
    )


def up(connection: Connection) -> None:
    """Makes both."""
    create(connection, batches, batch_lines)
