"""The fleet whose folder the server was given, as its publisher sees it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from potstill.fleet.publisher.overview import overview
from potstill.server.errors import forbidden
from potstill.server.web.views.fleet import fleet_page
from potstill.server.web.visit import Visit, look


async def show(visit: Visit) -> str:
    """The page; devices belong to no project, so it takes an administrator."""
    if not visit.call.key.is_admin:
        raise forbidden(visit.viewer.words("admin_only"))
    fleet = visit.call.services.fleet
    return fleet_page(visit.viewer, await run_in_threadpool(overview, fleet) if fleet else None)


ENDPOINTS = (look("/fleet", show),)
