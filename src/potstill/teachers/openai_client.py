"""One POST with retries: what a server may do wrong, and what is done about it."""

from __future__ import annotations

import email.utils
import json
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from potstill.errors import MissingExtraError, TeacherUnavailableError

MAX_BODY_BYTES = 1 << 20
LONGEST_WAIT_S = 60.0
FIRST_WAIT_S = 0.5
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class BadReplyError(Exception):
    """An answer over HTTP that is no use and would not get better by asking again."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """Posts JSON to one server.

    Attributes:
        base_url: without the last slash, for example `http://127.0.0.1:8000/v1`.
        api_key: sent as a bearer token; empty sends none. It stands in no message.
        timeout_s: for connecting, and for every read.
        max_attempts: tries of one call.
        sleep: waits; tests pass their own.
    """

    base_url: str
    api_key: str = field(repr=False)
    timeout_s: float
    max_attempts: int
    sleep: Callable[[float], None] = time.sleep

    def open(self) -> Any:
        """A connection pool, to be used as a context.

        Raises:
            MissingExtraError: httpx is not installed.
        """
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError("httpx", "openai") from error
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        # No proxies or credentials from the environment: the recipe alone says where rows go.
        return httpx.Client(timeout=self.timeout_s, headers=headers, trust_env=False, follow_redirects=False)

    def post(
        self, pool: Any, path: str, body: Mapping[str, Any], stop: threading.Event, spent: Callable[[], None]
    ) -> Any:
        """Posts until there is an answer, and returns its JSON.

        Args:
            pool: from `open`.
            path: after the base address.
            body: of the request.
            stop: set when the rest of the work is given up.
            spent: called for every try after the first, which costs a call as well.

        Raises:
            BadReplyError: an answer that can't be used; the text is a short reason.
            TeacherUnavailableError: the server can't be reached, or refuses us as a whole.
        """
        reason = ""
        for attempt in range(self.max_attempts):
            if attempt:
                if stop.is_set():
                    break
                spent()
            wait, found, reason = self._try(pool, path, body, attempt)
            if wait is None:
                return found
            if attempt + 1 < self.max_attempts:
                self.sleep(wait)
        raise TeacherUnavailableError(
            f"the teacher at {self.base_url} gave no answer in {self.max_attempts} tries; the last: {reason}. What was "
            "answered is kept. Check the server, and run the same command again."
        )

    def _try(self, pool: Any, path: str, body: Mapping[str, Any], attempt: int) -> tuple[float | None, Any, str]:
        """One try: (seconds to wait before the next or None, the answer, what went wrong)."""
        import httpx

        jitter = random.uniform(0, min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt))
        try:
            with pool.stream("POST", f"{self.base_url}{path}", json=body) as response:
                content = _read(response)
                status, headers = response.status_code, response.headers
        except httpx.ConnectError as error:
            # A server that restarts is back soon; one that never was there fails every try.
            return jitter, None, f"no connection ({error})"
        except (httpx.TransportError, httpx.StreamError) as error:
            return jitter, None, f"{type(error).__name__}: {error}"
        if status in RETRIED:
            return max(jitter, _retry_after(headers.get("retry-after"))), None, f"HTTP {status}"
        if status in (401, 403, 404):
            raise TeacherUnavailableError(_refusal(status, self.base_url, content))
        if status != 200:
            raise BadReplyError(f"HTTP {status}")
        try:
            return None, json.loads(content), ""
        except (ValueError, RecursionError):
            raise BadReplyError("no JSON over HTTP") from None


def _read(response: Any) -> bytes:
    """The body, up to a limit.

    Raises:
        BadReplyError: it is longer.
    """
    parts, size = [], 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BadReplyError("a body over 1 MiB")
        parts.append(part)
    return b"".join(parts)


def _refusal(status: int, base_url: str, content: bytes) -> str:
    what = {
        401: "refuses the API key. Check the environment variable that teacher.api_key_env names",
        403: "forbids this. Check the rights of the API key",
        404: "knows no such address or model. Check teacher.base_url (it mostly ends in /v1) and teacher.model",
    }[status]
    return f"the teacher at {base_url} {what}. It said: {content[:200].decode('utf-8', 'replace')}"


def _retry_after(value: str | None) -> float:
    """Seconds that a server asks us to wait: a number, or a date (RFC 9110, section 10.2.3)."""
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        parsed = email.utils.parsedate_tz(value)
        if parsed is None:
            return 0.0
        seconds = email.utils.mktime_tz(parsed) - datetime.now(UTC).timestamp()
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_S)
