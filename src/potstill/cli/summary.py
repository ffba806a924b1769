"""The table and the sentences that end `distill` and `demo`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from potstill.cli.output import Result, size, table

NAMES = ("teacher", "student", "control", "baseline", "reference")
VERDICTS = {
    "gain": "Gain: the teacher helped. The student beats its control by {difference} points [{low}, {high}].",
    "no gain": "No gain: the student is {difference} points from its control [{low}, {high}], and that may be luck.",
    "harm": "Harm: the student is worse than its control by {difference} points [{low}, {high}]. Ship the control.",
}


def run_result(result: Mapping[str, Any]) -> Result:
    """The result line with its human form."""
    rows = [_row(name, result[name]) for name in NAMES if name in result]
    lines = [
        table(["", "accuracy", "95 % interval", "size", "latency p50"], rows),
        "",
        verdict_sentence(result),
    ]
    if result["baseline_wins"]:
        lines.append("The cheap baseline (hashed n-grams, linear) is at least as accurate: consider shipping that.")
    lines += [f"report: {result['report']}", f"bundle: {result['bundle']}"]
    return Result(dict(result), "\n".join(lines))


def verdict_sentence(result: Mapping[str, Any]) -> str:
    """The verdict with its figures."""
    low, high = result["difference_ci"]
    points = {"difference": result["difference"], "low": low, "high": high}
    return VERDICTS[result["verdict"]].format(**{name: f"{100 * value:+.1f}" for name, value in points.items()})


def _row(name: str, scores: Mapping[str, Any]) -> list[str]:
    low, high = scores["accuracy_ci"]
    latency = scores["latency_ms"]
    return [
        name if name != "reference" else scores["title"],
        f"{100 * scores['accuracy']:.1f} %",
        f"{100 * low:.1f} - {100 * high:.1f} %",
        size(scores["size_bytes"]),
        f"{latency['p50']:.3f} ms" if latency else "-",
    ]
