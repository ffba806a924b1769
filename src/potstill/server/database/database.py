"""Reads in threads, writes through one thread that acknowledges many with one commit (group commit)."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar, final

from sqlalchemy import Connection, Engine, Table

from potstill.server.database.backfill import Backfill
from potstill.server.database.inserting import insert_rows

T = TypeVar("T")
Change = Callable[[Connection], Any]
Rows = Mapping[Table, Sequence[Mapping[str, Any]]]

MAX_GROUP = 512
NUM_READERS = 4


@final
@dataclass(frozen=True, slots=True)
class _Item:
    """One request's writes: a change to run, or rows to insert."""

    work: Change | Rows
    done: Future[Any] | asyncio.Future[Any]


class Database:
    """All access to rows; what `write` and `append` have returned survives a power cut."""

    def __init__(self, reader: Engine, writer: Engine, backfill: Backfill | None = None) -> None:
        self._reader = reader
        self._writer = writer
        self._backfill = backfill
        self._pool = ThreadPoolExecutor(NUM_READERS, "potstill-read")
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="potstill-write", daemon=True)
        self._thread.start()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._writer.dialect.name

    async def read(self, question: Callable[[Connection], T]) -> T:
        """What a question finds, in a thread of its own; all of it in one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.read_now, question)

    def read_now(self, question: Callable[[Connection], T]) -> T:
        """The same in this thread."""
        with self._reader.connect() as connection:
            return question(connection)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Runs a change in a transaction and returns once it is on disk.

        The transaction may be shared with other requests. When it fails each of them is run again alone, so a change
        does nothing but talk to its connection.
        """
        found: T = await self._put(change)
        return found

    def write_now(self, change: Callable[[Connection], T]) -> T:
        """The same from a thread."""
        done: Future[T] = Future()
        self._send(_Item(change, done))
        return done.result()

    async def append(self, rows: Rows) -> None:
        """Inserts rows that depend on nothing, as fast as it goes: those of many requests in one statement."""
        await self._put(rows)

    def close(self) -> None:
        """Finishes what was asked for and lets go of the files."""
        self._queue.put(None)
        self._thread.join()
        self._pool.shutdown()
        if self._backfill:
            self._backfill.close()
        self._reader.dispose()
        self._writer.dispose()

    def _put(self, work: Change | Rows) -> asyncio.Future[Any]:
        item = _Item(work, asyncio.get_running_loop().create_future())
        self._send(item)
        return item.done  # type: ignore[return-value]

    def _send(self, item: _Item) -> None:
        if not self._thread.is_alive():
            raise RuntimeError("the database is closed")
        self._queue.put(item)

    def _write_all(self) -> None:
        ended = False
        while not ended:
            group = [self._queue.get()]
            while len(group) < MAX_GROUP and group[-1] is not None:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            ended = group[-1] is None
            self._commit([item for item in group if item is not None])

    def _commit(self, items: list[_Item]) -> None:
        if not items:
            return
        try:
            results = self._run(items)
        except Exception as error:
            if len(items) == 1:
                _deliver(items, [error])
                return
            for item in items:
                self._commit([item])
            return
        _deliver(items, results)

    def _run(self, items: list[_Item]) -> list[Any]:
        """Runs all in one transaction, in their order; neighbouring rows go in one statement."""
        results: list[Any] = []
        with self._writer.begin() as connection:
            waiting: dict[Table, list[Mapping[str, Any]]] = defaultdict(list)
            for item in items:
                if isinstance(item.work, Mapping):
                    for table, rows in item.work.items():
                        waiting[table].extend(rows)
                    results.append(None)
                else:
                    _insert(connection, waiting)
                    results.append(item.work(connection))
            _insert(connection, waiting)
        if self._backfill:
            self._backfill.wake()
        return results


def _deliver(items: list[_Item], results: list[Any]) -> None:
    """Wakes whoever waits: a loop is called once for all of a group, as a call costs more than a row."""
    of_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = defaultdict(list)
    for item, result in zip(items, results, strict=True):
        if isinstance(item.done, asyncio.Future):
            of_loop[item.done.get_loop()].append((item.done, result))
        else:
            _settle(item.done, result)
    for loop, settled in of_loop.items():
        # A loop that was closed in the meantime has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle_all, settled)


def _settle_all(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for done, result in settled:
        if not done.done():
            _settle(done, result)


def _settle(done: Future[Any] | asyncio.Future[Any], result: Any) -> None:
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)


def _insert(connection: Connection, waiting: dict[Table, list[Mapping[str, Any]]]) -> None:
    for table, rows in waiting.items():
        if rows:
            insert_rows(connection, table, rows)
    waiting.clear()
