"""SQLite's log is moved into the file beside the writer, so that no commit waits for it.

Left to itself SQLite does so inside a commit, and whoever waits for that commit waits for thousands of pages and their
fsync. Source: https://sqlite.org/wal.html, "Checkpointing".
"""

from __future__ import annotations

import threading
from typing import final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from potstill.server.log import log_failure

MOVE = "PRAGMA wal_checkpoint(PASSIVE)"
BEGIN_ANEW = "PRAGMA wal_checkpoint(RESTART)"
PAUSE_S = 0.05
MAX_PAGES = 32_000
"""The log begins anew only when all of it is in the file, which never comes about while somebody writes all the time.
So from this length on (128 MB) the writer is held for the few pages that were left."""


@final
class Backfill:
    """A thread with a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._written = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="potstill-backfill", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Says that something was written."""
        self._written.set()

    def close(self) -> None:
        """Ends the thread; what is left in the log is moved by SQLite when the last connection goes."""
        self._ended.set()
        self._written.set()
        self._thread.join()
        self._engine.dispose()

    def _work(self) -> None:
        while True:
            self._written.wait()
            if self._ended.wait(PAUSE_S):
                return
            self._written.clear()
            try:
                self._move()
            except SQLAlchemyError as error:
                # A full disk, say: the log keeps all of it, and the next commit is the next try.
                log_failure("backfill", error)

    def _move(self) -> None:
        with self._engine.connect() as connection:
            _, pages, _ = connection.exec_driver_sql(MOVE).one()
            if pages > MAX_PAGES:
                connection.exec_driver_sql(BEGIN_ANEW)
