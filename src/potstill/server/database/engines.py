"""Connections: a SQLite that is safe against a power cut and its own old mistakes, or PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from potstill.errors import ConfigurationError, MissingExtraError
from potstill.server.database.backfill import Backfill
from potstill.server.database.database import NUM_READERS, Database
from potstill.server.database.migrate import migrate

Version = tuple[int, ...]


def open_database(data: Path, url: str = "") -> Database:
    """Opens the database and brings its tables up to date.

    Args:
        data: folder of the server, where SQLite's file lies.
        url: `postgresql://user@host/name`; empty: SQLite.

    Raises:
        ConfigurationError: an unsafe SQLite, a wrong address, or tables of a newer Potstill.
        MissingExtraError: no driver.
    """
    reader, writer, *backfill = _postgresql(url) if url else _sqlite(data / "potstill.db")
    try:
        with writer.begin() as connection:
            migrate(connection)
    except ConfigurationError:
        writer.dispose()
        raise
    except SQLAlchemyError as error:
        writer.dispose()
        raise ConfigurationError(
            f"the database can't be opened: {str(error)[:300]}. Check the address, the rights and the disk."
        ) from error
    return Database(reader, writer, *(Backfill(engine) for engine in backfill))


def is_safe(version: Version) -> bool:
    """Whether a SQLite is without the WAL-reset bug, which damages files that several connections write (3.7.0-3.51.2).

    Source: https://sqlite.org/wal.html, "The WAL-Reset Bug"; 3.52.0 was withdrawn.
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return fixed and version[:3] != (3, 52, 0)


def _sqlite(path: Path) -> tuple[Engine, Engine, Engine]:
    try:
        from pysqlite3 import dbapi2
    except ImportError as error:
        raise MissingExtraError("pysqlite3", "server") from error
    if not is_safe(dbapi2.sqlite_version_info):
        raise ConfigurationError(
            f"SQLite {dbapi2.sqlite_version} can damage its file when several connections write (the WAL-reset bug, "
            "mended in 3.51.3), so the server doesn't start. Run: pip install --upgrade 'pysqlite3>=0.6.1'"
        )
    options: dict[str, Any] = {"module": dbapi2, "connect_args": {"check_same_thread": False, "timeout": 30}}
    address = make_url("sqlite://").set(database=str(path))
    writer = create_engine(address, pool_size=1, max_overflow=0, **options)
    reader = create_engine(address, pool_size=NUM_READERS, max_overflow=NUM_READERS, **options)
    # Short, because whoever writes waits as long as this one waits for whoever reads.
    patience = {**options["connect_args"], "timeout": 0.1}
    backfill = create_engine(address, pool_size=1, max_overflow=0, **{**options, "connect_args": patience})
    event.listen(backfill, "connect", _prepare_backfill)
    event.listen(writer, "connect", _prepare_writer)
    event.listen(writer, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    event.listen(reader, "connect", _prepare_reader)
    # What one question reads belongs together: a page must not show a job's state of before and its events of after.
    event.listen(reader, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return reader, writer, backfill


def _prepare_writer(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, not guessed by the driver
    for line in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "busy_timeout = 30000",
        "wal_autocheckpoint = 0",
        "cache_size = -64000",
    ):
        connection.execute("PRAGMA " + line)


def _prepare_backfill(connection: Any, _: object) -> None:
    connection.isolation_level = None  # no transaction, in which there would be nothing to move
    connection.execute("PRAGMA synchronous = FULL")


def _prepare_reader(connection: Any, _: object) -> None:
    connection.isolation_level = None
    for line in ("busy_timeout = 30000", "query_only = ON", "cache_size = -16000"):
        connection.execute("PRAGMA " + line)


def _postgresql(url: str) -> tuple[Engine, Engine]:
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the address of the database can't be read; it has the form postgresql://user@host/name"
        ) from error
    if address.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"databases are SQLite (by default) and PostgreSQL, and this is {address.get_backend_name()}"
        )
    try:
        import psycopg  # noqa: F401 - the driver that SQLAlchemy loads by name
    except ImportError as error:
        raise MissingExtraError("psycopg", "postgresql") from error
    address = address.set(drivername="postgresql+psycopg")
    writer = create_engine(address, pool_size=1, max_overflow=0, pool_pre_ping=True)
    reader = create_engine(
        address, pool_size=NUM_READERS, max_overflow=NUM_READERS, pool_pre_ping=True, isolation_level="REPEATABLE READ"
    )
    return reader, writer
