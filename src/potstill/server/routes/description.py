"""/openapi.json: what this server serves."""

from __future__ import annotations

from functools import cache
from typing import Any

from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.openapi import describe


async def show(call: Call) -> dict[str, Any]:
    """This document."""
    return _document()


@cache
def _document() -> dict[str, Any]:
    from potstill.server.routes import ENDPOINTS as EVERY  # among them this one

    return describe(EVERY)


ENDPOINTS = (Endpoint(method="GET", path="/openapi.json", policy=Policy.PROJECT, handler=show, doc=Doc(answer="json")),)
