"""The devices: which release runs where, and what they report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from potstill.report.figures import whole
from potstill.report.markup import escape, tag
from potstill.server.web import pieces
from potstill.server.web.layout import Viewer, page, top


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ring:
    """Devices of a cohort that get one model.

    Attributes:
        release: that it is offered.
        healthy_share: of the devices that reported on it, None when none did.
        is_halted: no device is offered it any more.
    """

    name: str
    release: str
    num_devices: int
    healthy_share: float | None = None
    is_halted: bool = False


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceReport:
    """What a device signed."""

    device: str
    release: str
    state: str
    time: str
    message: str = ""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """What the publisher knows."""

    rings: Sequence[Ring] = ()
    reports: Sequence[DeviceReport] = ()


def fleet_page(viewer: Viewer, fleet: Fleet) -> str:
    """The whole page."""
    words = viewer.words
    head = top(words("place_fleet"), under=escape(words("fleet_text")))
    if not fleet.rings and not fleet.reports:
        body = pieces.empty(words("fleet_empty"), words("fleet_empty_text"))
        return page(viewer, words("place_fleet"), head, body, here="fleet")
    rings = [
        [
            escape(ring.name),
            pieces.code(ring.release),
            pieces.number(whole(ring.num_devices)),
            "" if ring.healthy_share is None else pieces.share(ring.healthy_share),
            pieces.badge(words("halted"), "bad") if ring.is_halted else pieces.badge(words("offered"), "good"),
        ]
        for ring in fleet.rings
    ]
    reports = [
        [
            pieces.code(report.device),
            pieces.code(report.release),
            escape(report.state),
            escape(report.message),
            escape(report.time),
        ]
        for report in fleet.reports
    ]
    ring_header = [words(key) for key in ("ring", "release", "devices", "healthy", "state")]
    report_header = [words(key) for key in ("device", "release", "state", "message", "time_utc")]
    return page(
        viewer,
        words("place_fleet"),
        head,
        tag("h2", escape(words("rings"))) + pieces.listing(words("rings"), ring_header, rings) if rings else "",
        tag("h2", escape(words("reports"))) + pieces.listing(words("reports"), report_header, reports)
        if reports
        else "",
        here="fleet",
    )
