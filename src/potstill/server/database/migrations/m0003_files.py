"""Files and uploads; their bytes lie in the content-addressed store."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, Table, Text

from potstill.server.database.types import Seq, create


def files(metadata: MetaData) -> Table:
    """One row a file; the name is a label and never a path."""
    return Table(
        "files",
        metadata,
        Column("seq", Seq, primary_key=True, autoincrement=False),
        Column("project", Text, nullable=False),
        Column("id", Text, nullable=False, unique=True),
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger),
        Column("filename", Text, nullable=False),
        Column("purpose", Text, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("digest", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("status_details", Text),
        Index("files_page", "project", "seq"),
        Index("files_digest", "digest"),
        Index("files_expiry", "expires_at"),
    )


def uploads(metadata: MetaData) -> Table:
    """A file that comes in parts."""
    return Table(
        "uploads",
        metadata,
        Column("id", Text, primary_key=True),
        Column("project", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("filename", Text, nullable=False),
        Column("purpose", Text, nullable=False),
        Column("mime_type", Text, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("status", Text, nullable=False),
        Column("file_id", Text),
        Column("file_expires_s", BigInteger),
    )


def upload_parts(metadata: MetaData) -> Table:
    """One row a part."""
    return Table(
        "upload_parts",
        metadata,
        Column("id", Text, primary_key=True),
        Column("upload_id", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("digest", Text, nullable=False),
        Index("upload_parts_of", "upload_id"),
        Index("upload_parts_digest", "digest"),
    )


def up(connection: Connection) -> None:
    """Makes all three."""
    create(connection, files, uploads, upload_parts)
