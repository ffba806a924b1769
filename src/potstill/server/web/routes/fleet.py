"""The fleet that is published from the server's data folder, as its publisher sees it."""

from __future__ import annotations

from pathlib import Path

from starlette.concurrency import run_in_threadpool

from potstill.fleet.publisher.overview import Line, overview
from potstill.fleet.publisher.place import NAME, open_fleet
from potstill.server.errors import forbidden
from potstill.server.web.views.fleet import DeviceReport, Fleet, Ring, fleet_page
from potstill.server.web.visit import Visit, look

FOLDER = "fleet"


async def show(visit: Visit) -> str:
    """The page; devices belong to no project, so it takes an administrator."""
    if not visit.call.key.is_admin:
        raise forbidden(visit.viewer.words("admin_only"))
    return fleet_page(visit.viewer, await run_in_threadpool(_read, visit.call.services.settings.data / FOLDER))


def _read(folder: Path) -> Fleet:
    if not (folder / NAME).is_file():
        return Fleet()
    lines = overview(open_fleet(folder)).lines
    return Fleet(rings=[_ring(line) for line in lines], reports=[each for line in lines for each in _reports(line)])


def _ring(line: Line) -> Ring:
    rollout, counts = line.rollout, line.counts
    return Ring(
        name=f"{rollout.cohort} / {rollout.model}",
        release=str(rollout.candidate or rollout.stable or "-"),
        num_devices=line.num_devices,
        healthy_share=counts.num_committed / counts.num_devices if counts.num_devices else None,
        is_halted=rollout.state == "stopped",
    )


def _reports(line: Line) -> list[DeviceReport]:
    return [
        DeviceReport(
            device=str(event["device"]),
            release=str(event.get("version", "")),
            state=str(event["event"]),
            time=str(event["time"]),
            message=str(event.get("reason", "")),
        )
        for event in line.events
    ]


ENDPOINTS = (look("/fleet", show),)
