"""OpenAI's API over HTTP with what Python brings along: requests that are sent again, and pages."""

from __future__ import annotations

import argparse
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from potstill.errors import ConfigurationError, DataError

DEFAULT_SERVER = "http://127.0.0.1:8080/v1"
SERVER_KEY = "POTSTILL_API_KEY"
AGAIN = frozenset({408, 429, 500, 502, 503, 504})
DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
TIMEOUT_S = 300.0
Json = dict[str, Any]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes to the address that was named and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@final
@dataclass(frozen=True, slots=True)
class Api:
    """One server.

    Attributes:
        base_url: ends in /v1, without a slash.
        key: of the environment; stands in no message.
    """

    base_url: str
    key: str = field(repr=False)

    def get(self, path: str, **query: Any) -> Json:
        """A JSON object."""
        found: Json = json.loads(self.read(path, **query))
        return found

    def read(self, path: str, **query: Any) -> bytes:
        """What lies there, as it is."""
        text = urllib.parse.urlencode({name: value for name, value in query.items() if value not in (None, "")})
        return self._send("GET", f"{path}?{text}" if text else path)

    def post(
        self, path: str, value: Any = None, *, content: bytes | None = None, type: str = "application/json"
    ) -> Json:
        """Sends JSON, or `content` of that type."""
        body = json.dumps(value).encode() if content is None else content
        found: Json = json.loads(self._send("POST", path, body, type))
        return found

    def has(self, path: str) -> bool:
        """Whether something lies there."""
        try:
            self._send("GET", path)
        except _MissingError:
            return False
        return True

    def pages(self, path: str, **query: Any) -> Iterator[Json]:
        """All rows of a list."""
        after = ""
        while True:
            page = self.get(path, limit=100, after=after, **query)
            yield from page["data"]
            if not page.get("has_more") or not page["data"]:
                return
            after = page["data"][-1]["id"]

    def _send(self, method: str, path: str, body: bytes | None = None, type: str = "application/json") -> bytes:
        request = urllib.request.Request(self.base_url + path, data=body, method=method)
        request.add_header("authorization", f"Bearer {self.key}")
        request.add_header("content-type", type)
        for delay_s in (*DELAYS_S, None):
            try:
                with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as response:
                    content: bytes = response.read()
                    return content
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in AGAIN or delay_s is None:
                        raise _refused(error, self.base_url, path) from None
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if delay_s is None or isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                    raise DataError(
                        f"{self.base_url} can't be reached ({type_name(error)}). Start it, or name another address."
                    ) from None
            time.sleep(delay_s)
        raise AssertionError


class _MissingError(DataError):
    """404."""


def type_name(error: BaseException) -> str:
    """What went wrong, without what was sent."""
    return str(getattr(error, "reason", None) or error.__class__.__name__)


def _refused(error: urllib.error.HTTPError, base_url: str, path: str) -> DataError:
    try:
        said = str(json.loads(error.read(1 << 20))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = "it doesn't say why"
    kind = _MissingError if error.code == 404 else DataError
    return kind(f"{base_url}{path.partition('?')[0]} answered with status {error.code}: {said[:500]}")


def add_server(parser: argparse.ArgumentParser) -> None:
    """Where things are brought to."""
    parser.add_argument(
        "--server",
        default="",
        metavar="BASE_URL",
        help=f"address of `potstill serve`; {DEFAULT_SERVER} when left out; its key comes from {SERVER_KEY}",
    )


def server_of(args: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Api:
    """The server of ours.

    Raises:
        ConfigurationError: no key.
    """
    return open_api(args.server or DEFAULT_SERVER, SERVER_KEY, environment)


def open_api(base_url: str, variable: str, environment: Mapping[str, str] = os.environ) -> Api:
    """A server whose key stands in a variable of the environment.

    Raises:
        ConfigurationError: no key, or no address.
    """
    key = environment.get(variable, "")
    if not key:
        raise ConfigurationError(f"the environment variable {variable} holds no key; {base_url} would answer nothing")
    parts = urllib.parse.urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{base_url!r} is no address; write https://api.openai.com/v1, for example")
    return Api(base_url.rstrip("/"), key)
