"""Works batches through on the server's own loop; every answer is on disk before the next is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Row, select
from starlette.concurrency import run_in_threadpool

from potstill.errors import PotstillError
from potstill.server.answerers import Json, complete_patiently, find_answerer
from potstill.server.auth import Key
from potstill.server.batches.lines import Line, read_lines
from potstill.server.batches.results import add_results, keep_results
from potstill.server.batches.store import OPEN, move
from potstill.server.bodies import convert
from potstill.server.chat import ChatRequest, check_request, finish
from potstill.server.database.tables import batch_lines, batches
from potstill.server.errors import ApiError
from potstill.server.ids import new_id, now
from potstill.server.log import log_failure

if TYPE_CHECKING:
    from potstill.server.services import Services

NUM_AT_ONCE = 16
EXPIRED = "This request could not be executed before the completion window expired."
CANCELLED = "This request was not executed: its batch was cancelled."


class Batches:
    """All batches of a server; those of a server that died or was stopped go on when it starts again."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()

    async def wake(self, services: Services) -> None:
        """Takes up what an earlier server left."""
        query = select(batches).where(batches.c.status.in_(OPEN)).order_by(batches.c.seq)
        for row in await services.database.read(lambda connection: list(connection.execute(query))):
            self.start(services, row)

    def start(self, services: Services, row: Row[Any]) -> None:
        """Begins a batch, or goes on with it."""
        if row.status == "cancelling":
            self._cancelled.add(row.id)
        task = asyncio.create_task(_Batch(services, row, self._cancelled).run())
        self._tasks[row.id] = task
        task.add_done_callback(lambda _: self._end(row.id))

    def cancel(self, id: str) -> None:
        """Asks no more of its requests; those that are being answered are finished."""
        if id in self._tasks:
            self._cancelled.add(id)

    async def stop(self) -> None:
        """Leaves all batches where they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, id: str) -> None:
        self._tasks.pop(id, None)
        self._cancelled.discard(id)


class _Batch:
    """One of them."""

    def __init__(self, services: Services, row: Row[Any], cancelled: set[str]) -> None:
        self.services = services
        self.row = row
        self.cancelled = cancelled

    async def run(self) -> None:
        """From where it stands to its end."""
        try:
            await self._run()
        except Exception as error:
            log_failure("batch", error, batch=self.row.id)
            said = str(error) if isinstance(error, PotstillError) else "The batch had an error; the log says more."
            await self._fail([{"code": "server_error", "message": said, "line": None, "param": None}])

    async def _run(self) -> None:
        content = await run_in_threadpool(self.services.blobs.read, self.row.input_digest)
        lines, problems = await run_in_threadpool(read_lines, content)
        if problems:
            await self._fail([problem.body() for problem in problems])
            return
        key = self.services.keyring.named(self.row.key_id)
        if key is None:
            message = "The key that this batch was made with is revoked or expired."
            await self._fail([{"code": "invalid_api_key", "message": message, "line": None, "param": None}])
            return
        named = {str(line.body.get("model")) for line in lines}
        model = {"model": named.pop()} if len(named) == 1 else {}
        await self._move(("validating",), "in_progress", total=len(lines), **model)
        query = select(batch_lines.c.number).where(batch_lines.c.batch == self.row.id)
        done = set(await self.services.database.read(lambda connection: list(connection.scalars(query))))
        left = iter([(number, line) for number, line in enumerate(lines) if number not in done])
        async with asyncio.TaskGroup() as group:
            for _ in range(NUM_AT_ONCE):
                group.create_task(self._answer_all(left, key))
        await self._close(list(left))

    async def _answer_all(self, left: Iterator[tuple[int, Line]], key: Key) -> None:
        while not self._has_stopped():
            number, line = next(left, (None, None))
            if number is None or line is None:
                return
            await self._keep(number, line, await self._answer(line, key))

    def _has_stopped(self) -> bool:
        return self.row.id in self.cancelled or self.row.expires_at <= now()

    async def _answer(self, line: Line, key: Key) -> Json:
        """The response part of a line of output."""
        status = 200
        try:
            request = convert(line.body, ChatRequest)
            check_request(request)
            answerer = await find_answerer(self.services, self.row.project, request.model)
            found = await complete_patiently(answerer, line.body)
            body = await finish(self.services, key, request, line.body, found, answerer.name)
        except ApiError as error:
            status, body = error.status, error.body()
        except Exception as error:  # one line must not end the others
            log_failure("batch line", error, batch=self.row.id, custom_id=line.custom_id)
            said = str(error) if isinstance(error, PotstillError) else "The server had an error; its log says more."
            status, body = 500, ApiError(500, said, kind="server_error").body()
        return {"status_code": status, "request_id": new_id("req_"), "body": body}

    async def _keep(self, number: int, line: Line, response: Json | None, error: Json | None = None) -> None:
        said = {"id": new_id("batch_req_"), "custom_id": line.custom_id, "response": response, "error": error}
        is_error = response is None or response["status_code"] != 200
        row = {"batch": self.row.id, "number": number, "is_error": is_error, "body": msgspec.json.encode(said)}
        await self.services.database.append({batch_lines: [row]})

    async def _close(self, left: list[tuple[int, Line]]) -> None:
        """Makes the files; a server that dies here makes them again, and the rows change once."""
        end = "cancelled" if self.row.id in self.cancelled else "expired" if left else "completed"
        message = CANCELLED if end == "cancelled" else EXPIRED
        for number, line in left:
            await self._keep(number, line, None, {"code": f"batch_{end}", "message": message})
        if end == "completed":
            await self._move(("in_progress",), "finalizing")
        expiry = json.loads(self.row.request).get("output_expires_after") or {}
        results = await keep_results(self.services, self.row, expiry.get("seconds"))

        def write(connection: Connection) -> None:
            # Cancelled in the moment between its last answer and now: all was answered, and the state stays true.
            if move(connection, self.row.id, OPEN, end, **results.outcome()) is not None:
                add_results(connection, results)

        await self.services.database.write(write)

    async def _move(self, states: tuple[str, ...], status: str, **outcome: Any) -> None:
        id = self.row.id
        await self.services.database.write(lambda connection: move(connection, id, states, status, **outcome))

    async def _fail(self, errors: list[Json]) -> None:
        await self._move(OPEN, "failed", errors={"object": "list", "data": errors})
