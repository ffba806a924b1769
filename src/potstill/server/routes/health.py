"""Whether the server is up, and what it counts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import literal, select
from starlette.responses import Response

from potstill import __version__
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.metrics import CONTENT_TYPE


async def health(call: Call) -> dict[str, Any]:
    """Up, when the database answers."""
    await call.services.database.read(lambda connection: connection.execute(select(literal(1))).scalar())
    return {"status": "ok", "version": __version__, "database": call.services.database.dialect}


async def metrics(call: Call) -> Response:
    """Prometheus' text; with a key, as the figures of a business stand in it."""
    return Response(call.services.metrics.text(), media_type=CONTENT_TYPE)


ENDPOINTS = (
    Endpoint(method="GET", path="/healthz", policy=Policy.PUBLIC, handler=health),
    Endpoint(
        method="GET", path="/metrics", policy=Policy.ADMIN, handler=metrics, doc=Doc(answer="", media="text/plain")
    ),
)
