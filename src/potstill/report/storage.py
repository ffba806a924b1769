"""A report's content as files, so that it can be written again in another language."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import IntegrityError
from potstill.evaluation.assessment import (
    Assessment,
    ClassScore,
    Comparison,
    Latency,
    OutOfScope,
    ReliabilityBin,
    Scores,
)
from potstill.files import digest, write_atomic
from potstill.report.content import PrecisionFact, ReportContent, SpendFact
from potstill.report.packing import pack, unpack
from potstill.types import Finding, LabelSchema

SCHEMA_VERSION = 1
JSON, ARRAYS = "report.json", "report_rows.npz"


def save_content(folder: Path, content: ReportContent) -> None:
    """Writes report.json and the rows' arrays beside it."""
    arrays: dict[str, Any] = {"labels": content.assessment.test_labels}
    for name, answers in content.assessment.test_answers.items():
        arrays[f"answers|{name}"] = answers
        arrays[f"confidence|{name}"] = content.assessment.test_confidence[name]
    passed = pack(content.passed_on)
    texts = all(isinstance(value, str) for value in content.test_inputs)
    if not texts:
        arrays |= {f"input|{i}": value for i, value in enumerate(content.test_inputs)}
    arrays |= passed.arrays
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    values = _values(content, texts)
    values["passed_on"] = passed.values
    values["arrays_digest"] = digest(buffer.getvalue())
    write_atomic(folder / ARRAYS, buffer.getvalue())
    # Not canonical: the order of rows and contenders is part of the report.
    text = json.dumps(_finite(values), ensure_ascii=False, allow_nan=False)
    write_atomic(folder / JSON, text.encode())


def _values(content: ReportContent, texts: bool) -> dict[str, Any]:
    assessment = content.assessment
    return {
        "schema_version": SCHEMA_VERSION,
        "title": content.title,
        "assessment": {
            "schema": assessment.schema.to_json(),
            "num_test": assessment.num_test,
            "scores": [asdict(score) for score in assessment.scores],
            "comparisons": [asdict(comparison) for comparison in assessment.comparisons],
            "gap_closed": assessment.gap_closed,
            "gap_closed_ci": assessment.gap_closed_ci,
            "verdict": assessment.verdict,
            "baseline_wins": assessment.baseline_wins,
            "gain_parts": assessment.gain_parts,
        },
        "contenders": list(assessment.test_answers),
        "test_inputs": list(content.test_inputs) if texts else len(content.test_inputs),
        "counts": dict(content.counts),
        "findings": [asdict(finding) for finding in content.findings],
        "trials": {name: list(map(dict, trials)) for name, trials in content.trials.items()},
        "precisions": [asdict(fact) for fact in content.precisions],
        "spend": asdict(content.spend),
        "choice": [asdict(finding) for finding in content.choice],
        "digests": dict(content.digests),
        "command": content.command,
        "environment": dict(content.environment),
        "caveats": [asdict(finding) for finding in content.caveats],
        "licenses": dict(content.licenses or {}),
        "sample_rate": content.sample_rate,
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN: it becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def load_content(folder: Path) -> ReportContent:
    """Reads what `save_content` wrote.

    Raises:
        IntegrityError: it isn't there or was changed.
    """
    try:
        values = json.loads((folder / JSON).read_bytes())
        packed = (folder / ARRAYS).read_bytes()
        if digest(packed) != values["arrays_digest"]:
            raise ValueError(f"{ARRAYS} does not belong to {JSON}")
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return _content(values, dict(arrays))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(
            f"{folder} holds no report that can be read ({error}). Run the same `potstill distill` command again."
        ) from error


def _content(values: dict[str, Any], arrays: dict[str, Any]) -> ReportContent:
    texts = values["test_inputs"]
    inputs = texts if isinstance(texts, list) else [arrays[f"input|{i}"] for i in range(texts)]
    return ReportContent(
        title=values["title"],
        assessment=_assessment(values["assessment"], values["contenders"], arrays),
        test_inputs=inputs,
        counts=values["counts"],
        findings=[Finding(**finding) for finding in values["findings"]],
        trials=values["trials"],
        precisions=[PrecisionFact(**fact) for fact in values["precisions"]],
        spend=SpendFact(**values["spend"]),
        choice=[Finding(**finding) for finding in values["choice"]],
        digests=values["digests"],
        command=values["command"],
        environment=values["environment"],
        caveats=[Finding(**finding) for finding in values["caveats"]],
        licenses=values["licenses"],
        passed_on=unpack(values.get("passed_on"), arrays),
        sample_rate=values.get("sample_rate", 0),
    )


def _assessment(values: dict[str, Any], names: list[str], arrays: dict[str, Any]) -> Assessment:
    return Assessment(
        schema=LabelSchema.from_json(values["schema"]),
        num_test=values["num_test"],
        scores=tuple(_scores(score) for score in values["scores"]),
        comparisons=tuple(_comparison(comparison) for comparison in values["comparisons"]),
        gap_closed=values["gap_closed"],
        gap_closed_ci=_pair(values["gap_closed_ci"]),
        verdict=values["verdict"],
        baseline_wins=values["baseline_wins"],
        gain_parts=tuple((name, difference, (ci[0], ci[1])) for name, difference, ci in values["gain_parts"]),
        test_labels=arrays["labels"],
        test_answers={name: arrays[f"answers|{name}"] for name in names},
        test_confidence={name: arrays[f"confidence|{name}"] for name in names},
    )


def _scores(values: dict[str, Any]) -> Scores:
    nan = float("nan")
    maybe_nan = ("balanced_accuracy", "macro_f1", "nll", "nll_raw", "ece", "ece_raw")
    plain = {name: nan if values.get(name) is None else values[name] for name in maybe_nan}
    return Scores(
        **{
            **values,
            **plain,
            "accuracy_ci": (values["accuracy_ci"][0], values["accuracy_ci"][1]),
            "balanced_accuracy_ci": _pair(values.get("balanced_accuracy_ci")),
            "temperatures": tuple(values["temperatures"]),
            "classes": tuple(ClassScore(**item) for item in values["classes"]),
            "reliability_raw": tuple(ReliabilityBin(**item) for item in values["reliability_raw"]),
            "reliability": tuple(ReliabilityBin(**item) for item in values["reliability"]),
            "out_of_scope": OutOfScope(**values["out_of_scope"]) if values["out_of_scope"] else None,
            "latency": Latency(**values["latency"]) if values["latency"] else None,
            "curve": tuple((s, nan if a is None else a, nan if b is None else b) for s, a, b in values["curve"]),
        }
    )


def _comparison(values: dict[str, Any]) -> Comparison:
    ends = values["difference_ci"]
    return Comparison(
        **{
            **values,
            "difference_ci": (ends[0], ends[1]),
            "balanced_difference_ci": _pair(values.get("balanced_difference_ci")),
        }
    )


def _pair(ends: list[float] | None) -> tuple[float, float] | None:
    return None if ends is None else (ends[0], ends[1])
