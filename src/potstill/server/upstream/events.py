"""Server-sent events of a teacher, as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from potstill.server.errors import ApiError

MAX_LINE_BYTES = 8 << 20


async def read_events(response: aiohttp.ClientResponse, limit: int) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each event, up to `[DONE]`.

    Raises:
        ApiError: 502: it ends without `[DONE]`, is too long, or holds something else.
    """
    rest, size = b"", 0
    async for piece in response.content.iter_any():
        size += len(piece)
        rest += piece
        if size > limit or len(rest) > MAX_LINE_BYTES:
            raise _broken("The teacher's answer is too long.", "teacher_answer_too_large")
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            yield _decoded(data)
    raise _broken("The teacher hung up in the middle of its answer.", "teacher_failed")


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _broken("The teacher streamed something else than JSON objects.", "teacher_answer_invalid")
    return found


def _broken(message: str, code: str) -> ApiError:
    return ApiError(502, message, kind="server_error", code=code)
