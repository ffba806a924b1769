"""/v1/potstill/fleet/reports: what devices say. A report's own signature is its key, so devices hold no other."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool

from potstill.errors import ReportError
from potstill.fleet.formats.report import MAX_REPORT_BYTES, open_report
from potstill.fleet.publisher.inbox import accept_report, read_record
from potstill.server.bodies import read_bytes
from potstill.server.endpoint import Call, Doc, Endpoint, Policy
from potstill.server.errors import ApiError, unauthorized

# Everybody's devices that nobody has heard of yet, together: each of them costs a file.
STRANGERS = "strangers"


async def report(call: Call) -> dict[str, Any]:
    """Takes in a report, once; one that comes again is accepted and changes nothing."""
    content = await read_bytes(call.request, MAX_REPORT_BYTES)
    try:
        said = await run_in_threadpool(open_report, content)
    except ReportError as error:
        raise unauthorized(f"Only what a device has signed is taken here: {error}.", "not_signed") from None
    fleet = call.services.fleet
    if fleet is None:
        raise ApiError(
            404, "This server keeps no fleet. Start it with `potstill serve --fleet FOLDER`.", code="no_fleet"
        )
    call.services.report_rates.take(said.device)
    if await run_in_threadpool(read_record, fleet, said.device) is None:
        call.services.stranger_rates.take(STRANGERS)
    found = await run_in_threadpool(accept_report, fleet, content)
    return {"object": "potstill.report", "device": said.device, "sequence": said.sequence, "is_new": found.is_new}


PATH = "/v1/potstill/fleet/reports"
ENDPOINTS = (
    Endpoint(
        method="POST",
        path=PATH,
        policy=Policy.DEVICE,
        handler=report,
        doc=Doc(answer="potstill.report", raw="application/octet-stream"),
    ),
)
