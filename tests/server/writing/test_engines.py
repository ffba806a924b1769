import asyncio
import threading
from pathlib import Path

import pytest

from potstill.server.errors import ApiError
from potstill.server.writing import Engines, ModelFile

MODEL = ModelFile(gguf=Path("model.gguf"))
CHUNK = {"choices": []}


class Endless:
    """Writes until nobody listens."""

    takes_tools = True

    def __init__(self, *_, **__):
        self.stopped = threading.Event()

    def stream(self, work, body, hear):
        while not hear(CHUNK):
            self.stopped.wait(0.001)
        self.stopped.set()


def test_a_full_queue_says_so_and_a_listener_who_left_stops_the_writing():
    made = []
    engines = Engines(most_waiting=2, open_model=lambda *a, **k: made.append(Endless()) or made[-1])

    async def go():
        first, second = (engines.chunks(MODEL, "chat", {}) for _ in range(2))
        assert await anext(first) == CHUNK
        waiting = asyncio.ensure_future(anext(second))
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as caught:
            await anext(engines.chunks(MODEL, "chat", {}))
        assert caught.value.status == 429 and int(caught.value.headers["retry-after"]) > 0
        await first.aclose()
        assert await waiting == CHUNK, "the next one is answered"
        assert made[0].stopped.is_set()
        await second.aclose()

    asyncio.run(asyncio.wait_for(go(), 30))
    engines.close()
    assert len(made) == 1


def test_what_goes_wrong_in_the_thread_is_told_and_the_next_one_is_answered():
    class Failing(Endless):
        def stream(self, work, body, hear):
            if body:
                raise RuntimeError("broken")
            hear(CHUNK)

    engines = Engines(open_model=Failing)

    async def go():
        with pytest.raises(RuntimeError, match="broken"):
            await anext(engines.chunks(MODEL, "chat", {"a": 1}))
        assert [chunk async for chunk in engines.chunks(MODEL, "chat", {})] == [CHUNK]

    asyncio.run(asyncio.wait_for(go(), 30))
    engines.close()
