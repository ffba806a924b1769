"""Bodies of requests: limited while they stream in, JSON without surprises, errors that name the parameter."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from potstill.server.errors import invalid, too_large

T = TypeVar("T")
_MISSING = re.compile(r"Object missing required field `(.+?)`")
_PLACE = re.compile(r" - at `(.+)`$")


async def read_bytes(request: Request, limit: int) -> bytes:
    """The body.

    Raises:
        ApiError: 413 over the limit, whatever its Content-Length says; 415 for a compressed one.
    """
    check_length(request, limit)
    pieces, size = [], 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > limit:
            raise too_large(f"The body of this request is over {limit:,} bytes.")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def check_length(request: Request, limit: int) -> None:
    """Refuses before a byte is read where the headers say enough.

    Raises:
        ApiError: 413 or 415.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise invalid("Compressed bodies are not taken; send it without Content-Encoding.", code="unsupported_encoding")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise too_large(f"The body of this request is over {limit:,} bytes.")


def decode(content: bytes, kind: type[T]) -> T:
    """JSON as a type; unknown fields are passed over.

    Raises:
        ApiError: 400.
    """
    try:
        found: T = _decoder(kind).decode(content)  # type: ignore[arg-type]
    except msgspec.ValidationError as error:
        raise _explained(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(
            f"We could not parse the JSON body of your request: {str(error)[:200]}.", code="invalid_json"
        ) from None
    except RecursionError:
        raise invalid("The JSON body of this request is nested too deeply.", code="invalid_json") from None
    return found


def convert(value: Any, kind: type[T]) -> T:
    """A decoded JSON value as a type.

    Raises:
        ApiError: 400.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _explained(error) from None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _explained(error: msgspec.ValidationError) -> Exception:
    text = str(error)
    place = _PLACE.search(text)
    param = place[1].removeprefix("$").removeprefix(".") if place else ""
    said = text[: place.start()] if place else text
    if missing := _MISSING.search(said):
        param = f"{param}.{missing[1]}" if param else missing[1]
        return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    if not param:
        return invalid(f"Invalid body: {said}.", code="invalid_type")
    return invalid(f"Invalid value for '{param}': {said}.", param, "invalid_value")
