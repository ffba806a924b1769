"""One thread that writes for everybody, the models that it holds, and the queue before it."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from potstill.errors import PotstillError
from potstill.runtime.generating import LlamaGenerator
from potstill.runtime.generating.llama import RefusedError, Work
from potstill.server.errors import ApiError, invalid

Json = dict[str, Any]
MOST_WAITING = 64
MOST_LOADED = 4
RETRY_AFTER_S = 2


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """A model on disk.

    Attributes:
        gguf: the file.
        context_length: most tokens of prompt and answer together.
        max_new_tokens: longest answer where a request says nothing.
    """

    gguf: Path
    context_length: int = 2048
    max_new_tokens: int = 256


class Engines:
    """Answers one request after the other; more at once would only wait for each other's processor."""

    def __init__(
        self, *, threads: int = 1, most_waiting: int = MOST_WAITING, open_model: Callable[..., Any] = LlamaGenerator
    ) -> None:
        self._threads = threads
        self._most_waiting = most_waiting
        self._open = open_model
        self._num_waiting = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._loaded: OrderedDict[Path, Any] = OrderedDict()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="potstill-writer")

    async def chunks(self, model: ModelFile, work: Work, body: Json) -> AsyncIterator[Json]:
        """The chunks of an answer; whoever stops listening stops the writing.

        Raises:
            ApiError: 429: too many wait; 400: it can't be answered.
        """
        loop, heard = asyncio.get_running_loop(), asyncio.Queue[Any]()
        stop = threading.Event()

        def put(item: Any) -> None:
            try:
                loop.call_soon_threadsafe(heard.put_nowait, item)
            except RuntimeError:  # the loop has ended, and nobody listens
                stop.set()

        future = self._submit(lambda: self._answer(model, work, body, stop, put))
        try:
            while (item := await heard.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            future.cancel()

    def close(self) -> None:
        """Stops what is being written."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        self._loaded.clear()

    def _submit(self, work: Callable[[], None]) -> Future[None]:
        with self._lock:
            if self._num_waiting >= self._most_waiting or self._closing.is_set():
                found = ApiError(
                    429,
                    f"{self._num_waiting} requests wait for this server's writing models; no more are taken.",
                    kind="rate_limit_error",
                    code="engine_overloaded",
                )
                found.headers["retry-after"] = str(RETRY_AFTER_S)
                raise found
            self._num_waiting += 1
        future = self._pool.submit(work)
        future.add_done_callback(self._left)
        return future

    def _left(self, _: Future[None]) -> None:
        with self._lock:
            self._num_waiting -= 1

    def _answer(
        self, model: ModelFile, work: Work, body: Json, stop: threading.Event, put: Callable[[Any], None]
    ) -> None:
        def hear(chunk: Json) -> bool:
            put(chunk)
            return stop.is_set() or self._closing.is_set()

        try:
            if not stop.is_set():
                generator = self._generator(model)
                if body.get("tools") and not generator.takes_tools:
                    raise RefusedError("this model's chat template has no place for tools", "tools")
                generator.stream(work, body, hear)
            put(None)
        except RefusedError as error:
            put(_refused(error))
        except PotstillError as error:
            put(error)
        except Exception as error:  # the one who asked must hear of it, and the thread must live on
            put(error)

    def _generator(self, model: ModelFile) -> Any:
        if model.gguf not in self._loaded:
            while len(self._loaded) >= MOST_LOADED:
                self._loaded.popitem(last=False)
            self._loaded[model.gguf] = self._open(
                model.gguf, context_length=model.context_length, threads=self._threads
            )
        self._loaded.move_to_end(model.gguf)
        return self._loaded[model.gguf]


def _refused(error: RefusedError) -> ApiError:
    if error.kind == "exceed_context_size_error":
        return invalid(f"The prompt is too long for this model: {error}.", "messages", "context_length_exceeded")
    if error.kind == "tools":
        return invalid("This model's chat template has no place for tools.", "tools", "unsupported_parameter")
    return invalid(f"This model can't answer the request: {str(error)[:500]}")
