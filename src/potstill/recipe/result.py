"""The result line of a run: the same keys from every command that ends with one."""

from __future__ import annotations

import math
from typing import Any

from potstill.evaluation.assessment import Assessment, Comparison, Interval, Latency, Scores

SCHEMA_VERSION = 1


def result_line(assessment: Assessment) -> dict[str, Any]:
    """Figures of all contenders and the verdict, as JSON values; what can't be known is null."""
    against = {comparison.other: comparison for comparison in assessment.comparisons}
    control = against["control"]
    line: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "num_test": assessment.num_test,
        "verdict": assessment.verdict,
        "gap_closed": _number(assessment.gap_closed),
        "gap_closed_ci": _ends(assessment.gap_closed_ci),
        "difference": control.difference,
        "difference_ci": list(control.difference_ci),
        "balanced_difference": _number(control.balanced_difference),
        "balanced_difference_ci": _ends(control.balanced_difference_ci),
        "p_value": control.p_value,
        "agreement": assessment.score("student").agreement,
        "baseline_wins": assessment.baseline_wins,
        "against": {name: _comparison(comparison) for name, comparison in against.items()},
        "gain_parts": [{"name": n, "difference": d, "difference_ci": list(ci)} for n, d, ci in assessment.gain_parts],
    }
    for scores in assessment.scores:
        line[scores.name] = _scores(scores)
    return line


def _scores(scores: Scores) -> dict[str, Any]:
    outside = scores.out_of_scope
    return {
        "title": scores.title,
        "accuracy": scores.accuracy,
        "accuracy_ci": list(scores.accuracy_ci),
        "balanced_accuracy": _number(scores.balanced_accuracy),
        "balanced_accuracy_ci": _ends(scores.balanced_accuracy_ci),
        "macro_f1": _number(scores.macro_f1),
        "nll": _number(scores.nll),
        "ece": _number(scores.ece),
        "agreement": scores.agreement,
        "size_bytes": scores.size_bytes,
        "num_parameters": scores.num_parameters,
        "latency_ms": _latency(scores.latency),
        "peak_memory_bytes": scores.peak_memory_bytes,
        "out_of_scope": None
        if outside is None
        else {
            "score": outside.score,
            "recall": outside.recall,
            "recall_at_95": outside.recall_at_95,
            "in_scope_kept": outside.in_scope_kept,
            "auroc": outside.auroc,
        },
    }


def _latency(latency: Latency | None) -> dict[str, Any] | None:
    if latency is None:
        return None
    return {"p50": latency.p50, "p95": latency.p95, "model_p50": latency.model_p50, "threads": latency.threads}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "difference": comparison.difference,
        "difference_ci": list(comparison.difference_ci),
        "balanced_difference": _number(comparison.balanced_difference),
        "balanced_difference_ci": _ends(comparison.balanced_difference_ci),
        "p_value": comparison.p_value,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return list(interval) if interval else None


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
