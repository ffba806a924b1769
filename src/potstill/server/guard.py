"""Keeps browsers of strangers out: a page elsewhere must not reach a server on this machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from potstill.server.endpoint import refuse
from potstill.server.errors import ApiError, forbidden


@final
@dataclass(frozen=True, slots=True)
class Guard:
    """Checks Host and Origin before anything else.

    A name in Host that isn't ours is how DNS rebinding shows; an address can't be rebound.
    """

    app: ASGIApp
    hosts: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what comes from us."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            try:
                self._check(headers.getlist("host"), headers.get("origin"))
            except ApiError as error:
                await refuse(error, scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, hosts: list[str], origin: str | None) -> None:
        host = hosts[0] if len(hosts) == 1 else ""
        if not _is_ours(host, self.hosts):
            raise ApiError(
                421,
                "The Host header names another server. Start with --allow-host NAME to be reached by that name.",
                code="wrong_host",
            )
        if origin is not None and origin.partition("//")[2] != host:
            raise forbidden("A page of another origin may not use this server.", "wrong_origin")


@lru_cache(256)
def _is_ours(host: str, hosts: frozenset[str]) -> bool:
    name = _hostname("//" + host)
    return bool(name) and (name in hosts or _is_address(name))


def _hostname(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
