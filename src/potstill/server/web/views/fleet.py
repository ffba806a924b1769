"""The devices: which release runs where, how it does, what was given up, and what devices report."""

from __future__ import annotations

from itertools import pairwise

from potstill.fleet.publisher.drift import Drift
from potstill.fleet.publisher.overview import Line, Overview
from potstill.report.figures import number, percent, points, whole
from potstill.report.markup import escape, tag
from potstill.report.words import Words
from potstill.server.web import pieces
from potstill.server.web.layout import Viewer, page, top

LOOKS = {"running": "good", "waiting": "", "paused": "", "stopped": "bad", "idle": ""}


def fleet_page(viewer: Viewer, found: Overview | None) -> str:
    """The whole page; None where the server keeps no fleet."""
    words = viewer.words
    head = top(words("place_fleet"), under=escape(words("fleet_text")))
    if found is None:
        content = [pieces.empty(words("fleet_none"), words("fleet_none_text"))]
    elif not found.lines:
        content = [pieces.empty(words("fleet_empty"), words("fleet_empty_text"))]
    else:
        content = [part for line in found.lines for part in _line(words, line)]
    if found is not None:
        rows = [[pieces.code(role), pieces.code(until)] for role, until in found.expires.items()]
        header = [words("role"), words("valid_until")]
        content.append(pieces.card(words("signatures"), pieces.listing(words("signatures"), header, rows)))
    return page(viewer, words("place_fleet"), head, *content, here="fleet")


def _line(words: Words, line: Line) -> list[str]:
    rollout = line.rollout
    name = f"{rollout.cohort} / {rollout.model}"
    state = pieces.badge(words(f"rollout_{rollout.state}"), LOOKS[rollout.state])
    stable = words("fleet_stable", release=rollout.stable) if rollout.stable else words("fleet_no_stable")
    said = [tag("p", state, " ", escape(stable))]
    if rollout.candidate is not None:
        share = percent(rollout.share, 0)
        said.append(tag("p", escape(words("fleet_candidate", release=rollout.candidate, share=share))))
    return [
        pieces.card(name, *said, _health(words, line)),
        pieces.card(words("rings"), _rings(words, line)),
        pieces.card(words("releases"), _releases(words, line)),
        pieces.card(words("reports"), _reports(words, line)),
    ]


def _health(words: Words, line: Line) -> str:
    health, counts = line.health, line.counts
    tried = words("fleet_of", count=whole(counts.num_devices)) if line.rollout.candidate is not None else ""
    return pieces.tiles(
        [
            (words("devices"), whole(line.num_devices), ""),
            (words("fleet_kept"), whole(counts.num_committed), tried),
            (words("fleet_failed"), whole(counts.num_failed), tried),
            (words("fleet_given_up"), whole(line.num_reverted), words("fleet_ever")),
            (words("predictions"), whole(health["num_predictions"]), ""),
            (words("fleet_errors"), percent(health["error_rate"], 2), ""),
            (words("fleet_confidence"), number(health["confidence"]), ""),
            (words("fleet_outside"), percent(health["out_of_scope"], 2), ""),
        ]
    ) + _drift(words, line.drift)


def _drift(words: Words, drift: Drift) -> str:
    """Changes of the devices' inputs since the release became stable."""
    state = pieces.badge(words("fleet_drifts"), "bad") if drift.found else pieces.badge(words("fleet_no_drift"))
    changes = {
        words("fleet_confidence"): "-" if drift.confidence is None else f"{drift.confidence:+.3f}",
        words("fleet_mix"): number(drift.mix),
        words("fleet_outside"): "-" if drift.out_of_scope is None else f"{points(drift.out_of_scope)} %",
    }
    shown = {name: pieces.number(value) for name, value in changes.items()}
    return tag("h3", escape(words("drift")), " ", state) + pieces.facts(shown)


def _rings(words: Words, line: Line) -> str:
    rollout, rows = line.rollout, []
    for i, (start, end) in enumerate(pairwise([0.0, *map(float, rollout.rings)])):
        is_open = rollout.candidate is not None and end <= rollout.share
        state = pieces.badge(words("ring_open"), "good") if is_open else pieces.badge(words("ring_closed"))
        rows.append([escape(f"{percent(start, 0)} - {percent(end, 0)}"), state, pieces.number(whole(line.rings[i]))])
    return pieces.listing(words("rings"), [words("ring"), words("state"), words("devices")], rows)


def _releases(words: Words, line: Line) -> str:
    total = sum(line.versions.values())
    if not total:
        return tag("p", escape(words("fleet_silent")))
    rows = [
        [pieces.code(version), pieces.number(whole(count)), pieces.share(count / total)]
        for version, count in sorted(line.versions.items(), key=lambda item: (-item[1], item[0]))
    ]
    return pieces.listing(words("releases"), [words("release"), words("devices"), words("fleet_share")], rows)


def _reports(words: Words, line: Line) -> str:
    if not line.events:
        return tag("p", escape(words("fleet_silent")))
    rows = [
        [
            pieces.code(str(event["device"])[:12]),
            pieces.code(str(event["version"] or "-")),
            escape(words(f"event_{event['event']}")),
            escape(str(event["reason"])),
            escape(str(event["time"])),
        ]
        for event in line.events
    ]
    header = [words(key) for key in ("device", "release", "state", "message", "time_utc")]
    return pieces.listing(words("reports"), header, rows)
