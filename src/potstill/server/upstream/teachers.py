"""The teachers of this server: an API that an administrator named, or a model on this machine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, final

import aiohttp
import msgspec

from potstill.server.answerers import Json
from potstill.server.errors import ApiError, no_such_model
from potstill.server.log import log, redact
from potstill.server.metrics import Metrics
from potstill.server.models import Student
from potstill.server.remote_pictures import RemotePictures
from potstill.server.settings import ANY_MODEL, TeacherSettings
from potstill.server.upstream.events import read_events
from potstill.server.upstream.local import open_local
from potstill.server.writing import Engines, Writer

MAX_ANSWER_BYTES = 64 << 20
OURS = ("store", "metadata")
"""What the client asks of us and the teacher never hears of: it would keep the rows as well."""
PASSED_ON = frozenset({400, 404, 413, 422, 429})
"""Errors that are the client's; all others are between us and the teacher."""


class Teachers:
    """All of them, with one pool of connections."""

    def __init__(
        self,
        teachers: tuple[TeacherSettings, ...],
        timeout_s: float,
        metrics: Metrics,
        engines: Engines,
        pictures: RemotePictures,
    ) -> None:
        self.settings = {teacher.name: teacher for teacher in teachers}
        self._local = {teacher.name: open_local(teacher, engines, pictures) for teacher in teachers if teacher.path}
        self._timeout_s = timeout_s
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    def find(self, model: str) -> ApiTeacher | Student | Writer | None:
        """Who answers for a name: NAME, NAME/MODEL, or whoever answers for every other model."""
        name, slash, rest = model.partition("/")
        if model in self._local:
            return self._local[model]
        if model in self.settings:
            found, wanted = self.settings[model], self.settings[model].model or model
        elif slash and name in self.settings and name not in self._local:
            found, wanted = self.settings[name], rest
        elif ANY_MODEL in self._local:
            return self._local[ANY_MODEL]
        elif ANY_MODEL in self.settings:
            found, wanted = self.settings[ANY_MODEL], self.settings[ANY_MODEL].model or model
        else:
            return None
        return ApiTeacher(found, wanted, self)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """The pool, made in the loop that uses it; it takes no proxy and no credentials from the environment."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=self._timeout_s)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=512), timeout=timeout, trust_env=False, auto_decompress=True
            )
        return self._session

    @asynccontextmanager
    async def post(self, teacher: TeacherSettings, body: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer with status 200.

        Raises:
            ApiError: everything else, in words for our client.
        """
        headers = {"content-type": "application/json"}
        if teacher.api_key:
            headers["authorization"] = f"Bearer {teacher.api_key}"
        started = time.perf_counter()
        try:
            async with self.session().post(
                f"{teacher.base_url}/chat/completions",
                data=msgspec.json.encode(body),
                headers=headers,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    raise _refused(teacher, response.status, response.headers, await read_limited(response, 1 << 20))
                yield response
        except TimeoutError:
            log("teacher", teacher=teacher.name, trouble="timeout")
            raise ApiError(
                504, "The teacher did not answer in time.", kind="server_error", code="teacher_timeout"
            ) from None
        except aiohttp.ClientError as error:
            log("teacher", teacher=teacher.name, trouble=type(error).__name__)
            raise _failed(
                f"The teacher `{teacher.name}` can't be reached, or hung up.", "teacher_unreachable"
            ) from None
        finally:
            self._metrics.teacher_seconds.labels(teacher.name).observe(time.perf_counter() - started)


@final
@dataclass(frozen=True, slots=True)
class ApiTeacher:
    """One of them, for one model; an `Answerer`."""

    settings: TeacherSettings
    model: str
    teachers: Teachers

    @property
    def name(self) -> str:
        """As the administrator named it, and the model there."""
        return f"{self.settings.name}/{self.model}" if self.settings.name == ANY_MODEL else self.settings.name

    async def complete(self, body: Json) -> Json:
        """Passes one request on."""
        async with self.teachers.post(self.settings, self._body(body)) as response:
            content = await read_limited(response, MAX_ANSWER_BYTES)
        try:
            found = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _failed("The teacher answered with something else than JSON.", "teacher_answer_invalid") from None
        return _checked(found, "message")

    async def stream(self, body: Json) -> AsyncIterator[Json]:
        """Passes on chunks as they come."""
        async with self.teachers.post(self.settings, self._body(body)) as response:
            async for chunk in read_events(response, MAX_ANSWER_BYTES):
                if "error" in chunk:
                    raise _failed("The teacher gave up in the middle of its answer.", "teacher_failed")
                yield _checked(chunk, "delta")

    def _body(self, body: Json) -> Json:
        return {**{name: value for name, value in body.items() if name not in OURS}, "model": self.model}


async def read_limited(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """A body that can't fill our memory, also when it was compressed.

    Raises:
        ApiError: 502.
    """
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > limit:
            raise _failed(f"The teacher's answer is over {limit:,} bytes.", "teacher_answer_too_large")
        pieces.append(piece)
    return b"".join(pieces)


def _checked(found: Any, part: str) -> Json:
    """An answer or a chunk with the shape that we rely on."""
    choices = found.get("choices") if isinstance(found, dict) else None
    usable = isinstance(choices, list) and all(
        isinstance(choice, dict) and isinstance(choice.get(part), dict) and isinstance(choice.get("index"), int)
        for choice in choices
    )
    if not usable or (part == "message" and not choices):
        raise _failed("The teacher answered with something else than a chat completion.", "teacher_answer_invalid")
    checked: Json = found
    return checked


def _refused(teacher: TeacherSettings, status: int, headers: Mapping[str, str], content: bytes) -> ApiError:
    try:
        said = msgspec.json.decode(content)["error"]
        message = str(said["message"])[:2000]
        param, code = said.get("param"), said.get("code")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        message, param, code = f"The teacher answered with status {status}.", None, None
    log("teacher", teacher=teacher.name, status=status)
    if status == 404:
        return no_such_model(teacher.model or teacher.name)
    if status not in PASSED_ON:
        refusal = status in (401, 403)
        found = _failed(
            f"The teacher `{teacher.name}` {'refuses our key' if refusal else f'failed with status {status}'}.",
            "teacher_refused" if refusal else "teacher_failed",
        )
        if refusal:
            found.headers["x-should-retry"] = "false"
        return found
    if teacher.api_key:
        message = message.replace(teacher.api_key, "[left out]")
    kind = "rate_limit_error" if status == 429 else "invalid_request_error"
    found = ApiError(
        status,
        redact(message),
        kind=kind,
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else "",
    )
    if "retry-after" in headers:
        found.headers["retry-after"] = headers["retry-after"][:50]
    return found


def _failed(message: str, code: str) -> ApiError:
    return ApiError(502, message, kind="server_error", code=code)
