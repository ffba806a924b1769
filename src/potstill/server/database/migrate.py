"""Brings tables up to date, one numbered step after the other; each is done once, and whole or not at all."""

from __future__ import annotations

import importlib
import time

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text

from potstill.errors import ConfigurationError
from potstill.server.database.migrations import MIGRATIONS

_done = Table("migrations", MetaData(), Column("name", Text, primary_key=True), Column("applied_at", BigInteger))


def migrate(connection: Connection) -> None:
    """Applies, in the transaction of this connection, the steps that were not applied yet.

    Raises:
        ConfigurationError: the tables are those of a newer Potstill.
    """
    _done.create(connection, checkfirst=True)
    applied = set(connection.scalars(_done.select().with_only_columns(_done.c.name)))
    if unknown := applied - set(MIGRATIONS):
        raise ConfigurationError(
            f"the database was written by a newer Potstill (it knows {', '.join(sorted(unknown))}), and this one would "
            "read it wrongly. Upgrade with: pip install --upgrade 'potstill[server]'"
        )
    for name in MIGRATIONS:
        if name not in applied:
            importlib.import_module(f"potstill.server.database.migrations.{name}").up(connection)
            connection.execute(_done.insert(), {"name": name, "applied_at": int(time.time())})
