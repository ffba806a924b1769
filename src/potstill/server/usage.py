"""Tokens by day, key, model and answerer: added up in memory, and written every few seconds.

A server that is killed forgets what it counted since; one that is stopped does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from potstill.server.auth import Key
from potstill.server.database import Database
from potstill.server.database.tables import usage
from potstill.server.ids import now
from potstill.server.log import log_failure

DAY_S = 24 * 3600
EVERY_S = 5.0
LONGEST = 300


class Place(NamedTuple):
    """What figures are kept for; all of it text but the day, which counts from 1970 in UTC."""

    project: str
    day: int
    key: str
    model: str
    answerer: str


class Amount(NamedTuple):
    """How much was answered."""

    calls: int
    prompt_tokens: int
    answer_tokens: int

    def plus(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(*(one + two for one, two in zip(self, other, strict=True)))


NOTHING = Amount(0, 0, 0)


class Usage:
    """The figures that are not on disk yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._fresh: dict[Place, Amount] = {}

    def add(self, key: Key, model: str, answerer: str, prompt_tokens: int, answer_tokens: int) -> None:
        """Counts one answer."""
        place = Place(key.project, today(), key.id, model[:LONGEST], answerer[:LONGEST])
        self._fresh[place] = self._fresh.get(place, NOTHING).plus(Amount(1, prompt_tokens, answer_tokens))

    async def flush(self) -> None:
        """Writes what was counted; what can't be written is counted again."""
        taken, self._fresh = self._fresh, {}
        if not taken:
            return
        try:
            await self._database.write(lambda connection: _write(connection, taken))
        except Exception:
            for place, amount in taken.items():
                self._fresh[place] = self._fresh.get(place, NOTHING).plus(amount)
            raise

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Writes every few seconds while the context lasts, and at its end."""
        task = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.flush()

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.flush()
            except Exception as error:
                log_failure("usage", error)


def today() -> int:
    """Days since 1970, in UTC."""
    return int(now()) // DAY_S


def read_usage(connection: Connection, project: str, since: int) -> dict[Place, Amount]:
    """What was written of a project from a day on."""
    query = select(usage).where(usage.c.project == project, usage.c.day >= since).order_by(usage.c.day)
    return {Place(*row[:5]): Amount(*row[5:]) for row in connection.execute(query)}


def _write(connection: Connection, taken: Mapping[Place, Amount]) -> None:
    for place, amount in taken.items():
        mine = _where(place)
        values: dict[Any, Any] = {usage.c[name]: usage.c[name] + value for name, value in amount._asdict().items()}
        if connection.execute(usage.update().where(*mine).values(values)).rowcount == 0:
            connection.execute(usage.insert(), {**place._asdict(), **amount._asdict()})


def _where(place: Place) -> list[Any]:
    return [usage.c[name] == value for name, value in place._asdict().items()]
