"""An answer as server-sent events; what goes wrong on the way is the last of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.responses import StreamingResponse

from potstill.server.errors import ApiError
from potstill.server.log import log_failure

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"


def data_frame(value: Json) -> bytes:
    """One event without a name."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def event_stream(
    values: AsyncGenerator[Json, None],
    *,
    route: str,
    frame: Callable[[Json], bytes] = data_frame,
    failed: Callable[[ApiError], Json] = ApiError.body,
    last: bytes = DONE,
) -> StreamingResponse:
    """The response that sends values as they come.

    Args:
        values: of the answer; what they do after the last of them is done before `last` is sent.
        route: for the log.
        frame: writes a value as an event.
        failed: the value that tells of an error.
        last: sent after an answer that is whole.
    """

    async def events() -> AsyncIterator[bytes]:
        try:
            # Closed at once when the client goes, so that nobody writes on for it.
            async with aclosing(values):
                async for value in values:
                    yield frame(value)
        except ApiError as error:
            yield frame(failed(error))
            return
        except Exception as error:
            log_failure("unexpected", error, route=route)
            yield frame(failed(ApiError(500, "The server had an error while answering.", kind="server_error")))
            return
        if last:
            yield last

    return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})
