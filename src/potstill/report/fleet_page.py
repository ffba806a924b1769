"""A fleet on one self-contained page: rings, versions, health and what was given up."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from potstill.fleet.publisher.overview import Line, Overview
from potstill.report.markup import escape, paragraph, section, table, tag
from potstill.report.plots import COLOURS
from potstill.report.style import STYLE

WIDTH, HEIGHT = 640, 26


POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def fleet_page(found: Overview) -> str:
    """The page; it loads nothing from elsewhere."""
    title = f"Fleet {found.name}"
    lines = [_line(i, line) for i, line in enumerate(found.lines)] or [paragraph("Nothing was published yet.")]
    expiry = table(("role", "until"), list(found.expires.items()), caption="must be signed again before that")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"{tag('h1', escape(title))}{''.join(lines)}{section('signatures', 'Signatures', expiry)}"
        "</main></body></html>\n"
    )


def _line(number: int, line: Line) -> str:
    rollout, health = line.rollout, line.health
    stable = f"stable: release {rollout.stable}" if rollout.stable else "stable: none"
    going = f"; release {rollout.candidate} at {rollout.share:.0%}" if rollout.candidate is not None else ""
    look = {"stopped": "verdict harm", "idle": "verdict gain"}.get(rollout.state, "verdict")
    figures = [
        ("devices", str(line.num_devices)),
        ("predictions", f"{health['num_predictions']:,}"),
        ("failed predictions", _share(health["error_rate"])),
        ("mean probability of the answers", "-" if health["confidence"] is None else f"{health['confidence']:.3f}"),
        ("out of scope", _share(health["out_of_scope"])),
        ("drift", "; ".join(line.drift.found) or "none found"),
    ]
    log = [(str(entry["time"]), str(entry["what"])) for entry in reversed(rollout.log)]
    events = [
        (str(e["time"]), str(e["device"])[:12], str(e["event"]), str(e["version"] or ""), str(e["reason"]))
        for e in line.events
    ]
    return section(
        f"line-{number}",
        f"{rollout.cohort} / {rollout.model}",
        tag("p", escape(f"{stable}{going} ({rollout.state})"), class_=look),
        _rings(line),
        _versions(line.versions),
        table(("health", "value"), figures, caption="over all devices"),
        table(("time", "rollout"), log, caption="newest first"),
        table(
            ("time", "device", "event", "release", "reason"),
            events,
            caption=f"on devices, newest first; releases were given up {line.num_reverted} times",
        ),
    )


def _rings(line: Line) -> str:
    """Each ring as a piece of a bar as long as its share; the open ones are filled."""
    rollout, counts = line.rollout, line.counts
    pieces, rows = [], []
    for i, (start, end) in enumerate(pairwise([0.0, *map(float, rollout.rings)])):
        is_open = rollout.candidate is not None and end <= rollout.share
        pieces.append(_piece(start, end, COLOURS[0] if is_open else "var(--line)"))
        rows.append((f"to {end:.0%}", "open" if is_open else "closed", str(line.rings[i])))
    said = (
        f"{counts.num_devices} devices in the open rings: {counts.num_committed} kept release {rollout.candidate}, "
        f"{counts.num_failed} gave it up"
        if rollout.candidate is not None
        else "nothing is being rolled out"
    )
    return _bar("rings; the table says the same", pieces) + table(("ring", "", "devices known"), rows, caption=said)


def _versions(versions: Mapping[str, int]) -> str:
    total = sum(versions.values())
    if not total:
        return paragraph("No device has reported yet.")
    pieces, rows, at = [], [], 0
    for i, (version, count) in enumerate(sorted(versions.items(), key=lambda item: (-item[1], item[0]))):
        pieces.append(_piece(at / total, (at + count) / total, COLOURS[i % len(COLOURS)]))
        rows.append((f"release {version}" if version != "-" else "not said", str(count), f"{count / total:.1%}"))
        at += count
    picture = _bar("versions; the table says the same", pieces)
    return picture + table(("version", "devices", "share"), rows, caption="what devices run, as they last said")


def _piece(start: float, end: float, colour: str) -> str:
    width = max(1.0, (end - start) * WIDTH - 2)
    return tag("rect", x=f"{start * WIDTH:.1f}", y=0, width=f"{width:.1f}", height=HEIGHT, fill=colour)


def _bar(label: str, pieces: list[str]) -> str:
    picture = tag("svg", *pieces, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label)
    return tag("figure", picture)


def _share(value: Any) -> str:
    return "-" if value is None else f"{value:.2%}"
