"""The file of a batch: one request a line, all checked before the first is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import msgspec

from potstill.server.answerers import Json
from potstill.server.bodies import decode
from potstill.server.errors import ApiError

ENDPOINT = "/v1/chat/completions"
MAX_LINES, MAX_BYTES = 50_000, 200 << 20
MAX_ERRORS = 100
"""More would not be read by anybody."""


@final
class Line(msgspec.Struct, frozen=True):
    """One request."""

    custom_id: str
    method: str
    url: str
    body: dict[str, Any]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a file can't be worked through, as the API tells it."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None

    def body(self) -> Json:
        """Its JSON."""
        return {"code": self.code, "message": self.message, "line": self.line, "param": self.param}


def read_lines(content: bytes) -> tuple[list[Line], list[Problem]]:
    """All requests of a file, and what is wrong with it; with a problem none of them may be asked.

    Args:
        content: JSON objects with `custom_id`, `method`, `url` and `body`, one a line; empty lines are passed over.
    """
    found: list[Line] = []
    problems: list[Problem] = []
    known: set[str] = set()
    for number, text in enumerate(content.split(b"\n"), 1):
        if not text.strip():
            continue
        if len(problems) == MAX_ERRORS or len(found) > MAX_LINES:
            break
        try:
            line = decode(text, Line)
        except ApiError as error:
            code = "invalid_json_line" if error.code == "invalid_json" else error.code or "invalid_request"
            problems.append(Problem(code=code, message=str(error), line=number, param=error.param))
            continue
        problems += _problems_of(line, number, known)
        known.add(line.custom_id)
        found.append(line)
    if len(found) > MAX_LINES:
        problems.append(Problem(code="too_many_tasks", message=f"The file holds more than {MAX_LINES:,} requests."))
    if not found and not problems:
        problems.append(Problem(code="empty_file", message="The file holds no request."))
    return found, problems


def _problems_of(line: Line, number: int, known: set[str]) -> list[Problem]:
    checks = (
        (line.custom_id in known, "custom_id", "duplicate_custom_id", "an earlier line has this custom_id"),
        (line.method != "POST", "method", "invalid_method", "expected POST"),
        (line.url != ENDPOINT, "url", "mismatched_endpoint", f"expected the batch's endpoint, {ENDPOINT}"),
        (bool(line.body.get("stream")), "body.stream", "invalid_value", "an answer in a file can't be streamed"),
    )
    return [
        Problem(code=code, message=f"Invalid '{param}': {said}.", line=number, param=param)
        for is_wrong, param, code, said in checks
        if is_wrong
    ]
