"""Criteria as they are filled in, and as the API takes them."""

from __future__ import annotations

from typing import Any

from potstill.report.words import Words
from potstill.server.errors import invalid
from potstill.server.web.views.evals import KINDS, METRICS, OPERATIONS, Criterion
from potstill.server.web.visit import Visit

MAX_CRITERIA = 10
Json = dict[str, Any]


def read_criteria(visit: Visit) -> list[Criterion]:
    """What stands in the form."""
    count = visit.sent("num_criteria")
    number = int(count[:2]) if count.isascii() and count.isdecimal() else 1
    number, names = min(max(number, 1), MAX_CRITERIA), Criterion.__slots__
    return [Criterion(**{name: visit.sent(f"{name}_{i}") for name in names}) for i in range(number)]


def as_grader(words: Words, each: Criterion, number: int) -> Json:
    """The grader of a criterion.

    Raises:
        ApiError: 400: what was filled in makes none.
    """
    if each.kind not in KINDS:
        raise invalid(words("criterion_refused", number=number), "kind")
    found: Json = {"type": each.kind, "name": each.name or words("criterion", number=number)}
    if each.kind == "string_check":
        operation = each.operation if each.operation in OPERATIONS else "eq"
        return found | {"input": each.input, "reference": each.reference, "operation": operation}
    if each.kind == "text_similarity":
        metric = each.operation if each.operation in METRICS else "fuzzy_match"
        threshold = _number(words, each.threshold, number)
        texts = {"input": each.input, "reference": each.reference}
        return found | texts | {"evaluation_metric": metric, "pass_threshold": threshold}
    told = [{"role": "system", "content": each.prompt}] if each.prompt else []
    found |= {"model": each.model, "input": [*told, {"role": "user", "content": each.input}]}
    if each.kind == "score_model":
        return found | {"range": [0, 1], "pass_threshold": _number(words, each.threshold, number)}
    labels = [label.strip() for label in each.labels.split(",") if label.strip()]
    passing = [label.rstrip("*") for label in labels if label.endswith("*")]
    return found | {"labels": [label.rstrip("*") for label in labels], "passing_labels": passing}


def _number(words: Words, text: str, number: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise invalid(words("threshold_refused", number=number), "threshold")
    return value
