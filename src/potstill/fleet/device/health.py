"""Is the new release as well as the one before? Judged on the device's own predictions."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

from potstill.files import canonical_json, write_atomic
from potstill.fleet.device.place import Device
from potstill.fleet.formats.figures import Figures, parse_figures
from potstill.fleet.formats.health import HealthRules

NAME = "health.json"
# A drop in confidence counts where chance alone would hardly make it.
STANDARD_ERRORS = 3.0
# Fewer failures than this are chance, whatever their share.
MIN_ERRORS = 2


def read_figures(device: Device, digest: str) -> Figures:
    """Figures of the release of that digest; empty where there are none, or they are another's or damaged."""
    try:
        values = json.loads((device.folder / NAME).read_bytes())
        return parse_figures(values["figures"]) if values["digest"] == digest else Figures()
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return Figures()


def save_figures(device: Device, digest: str, figures: Figures) -> None:
    """Keeps the figures of a release."""
    write_atomic(device.folder / NAME, canonical_json({"digest": digest, "figures": figures.to_json()}))


def is_over(figures: Figures, rules: HealthRules, since: str) -> bool:
    """Has the window ended?"""
    if figures.num_predictions >= rules.num_predictions:
        return True
    hours = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds() / 3600
    # A device whose clock was set back waits for its predictions.
    return hours >= rules.max_hours


def why_unwell(figures: Figures, usual: Figures | None, rules: HealthRules) -> str:
    """Why a release must be given up; empty when it may be kept.

    Args:
        figures: of its window so far.
        usual: of the release before on this device; None when it never predicted.
        rules: signed with the release.
    """
    errors = figures.num_errors
    if errors >= MIN_ERRORS and errors > rules.max_error_rate * max(figures.num_predictions, rules.num_predictions):
        return f"{errors} of {figures.num_predictions} predictions failed; at most {rules.max_error_rate:.1%} may"
    if usual is None or figures.num_answers < 1 or usual.num_answers < 1:
        return ""
    return _slower(figures, usual, rules) or _less_sure(figures, usual, rules)


def why_unwell_at_end(figures: Figures, usual: Figures | None, rules: HealthRules) -> str:
    """As `why_unwell`, with the share of failures over what was predicted, since no more will come."""
    errors, count = figures.num_errors, figures.num_predictions
    if errors and errors > rules.max_error_rate * count:
        return f"{errors} of {count} predictions failed; at most {rules.max_error_rate:.1%} may"
    return why_unwell(figures, usual, rules)


def _slower(figures: Figures, usual: Figures, rules: HealthRules) -> str:
    now, before = figures.latency_ms, usual.latency_ms
    if now is None or before is None or len(figures.latencies_ms) < min(20, rules.num_predictions):
        return ""
    limit = rules.max_latency_factor * before
    return f"its median latency is {now:.3g} ms; the release before had {before:.3g} ms" if now > limit else ""


def _less_sure(figures: Figures, usual: Figures, rules: HealthRules) -> str:
    now, before = figures.confidence, usual.confidence
    if now is None or before is None or figures.num_predictions < rules.num_predictions:
        return ""
    chance = STANDARD_ERRORS * math.hypot(figures.confidence_error, usual.confidence_error)
    drop = before - now
    if drop <= rules.max_confidence_drop or (math.isfinite(chance) and drop <= chance):
        return ""
    return f"its mean probability is {now:.3f}; the release before had {before:.3f}"
