"""Judges the contenders on the same test rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from potstill.evaluation.assessment import Assessment, Comparison, Contender, Interval, Scores, Verdict
from potstill.evaluation.calibration import fit_temperatures
from potstill.evaluation.metrics import (
    answers,
    balanced_accuracy,
    class_scores,
    confidence,
    is_right,
    macro_f1,
    nll,
    probabilities,
    reliability,
)
from potstill.evaluation.out_of_scope import choose_threshold, judge_scope
from potstill.evaluation.significance import bootstrap_balanced, bootstrap_means, gap_closed_interval, interval, mcnemar
from potstill.types import FloatArray, IntArray, LabelSchema

Step = tuple[str, str, str]
"""Name of a step of the gain, the contender before it, the contender after it."""


def assess(
    contenders: Sequence[Contender],
    dev_labels: IntArray,
    test_labels: IntArray,
    schema: LabelSchema,
    *,
    seed: int = 0,
    steps: Sequence[Step] = (),
) -> Assessment:
    """Scores every contender and compares the student with the others.

    Args:
        contenders: among them `student` and `control`; `teacher` where its answers on test are known.
        dev_labels: N_dev x L, for temperatures and thresholds only.
        test_labels: N_test x L; rows marked out of scope judge rejection and nothing else.
        schema: what the logits stand for.
        seed: of the bootstrap.
        steps: where the gain came from, see `Assessment.gain_parts`.
    """
    inside = (test_labels >= 0).any(1)
    labels = test_labels[inside]
    said = {c.name: answers(c.test_logits[inside], schema) for c in contenders}
    right = {name: is_right(answer, labels) for name, answer in said.items()}
    means = bootstrap_means(right, seed=seed)
    balanced = _balanced(right, labels, schema, seed)
    scores = tuple(_score(c, dev_labels, test_labels, schema, said, means, balanced) for c in contenders)
    by_name = {score.name: score for score in scores}
    comparisons = tuple(
        _compare(by_name["student"], by_name[c.name], right, means, balanced) for c in contenders if c.name != "student"
    )
    gap, gap_ci = _gap_closed(right, means)
    calibrated = {
        c.name: confidence(probabilities(c.test_logits[inside], schema, by_name[c.name].temperatures), schema)
        for c in contenders
    }
    return Assessment(
        schema=schema,
        num_test=len(labels),
        scores=scores,
        comparisons=comparisons,
        gap_closed=gap,
        gap_closed_ci=gap_ci,
        verdict=_verdict(comparisons),
        baseline_wins="baseline" in right and bool(right["baseline"].mean() >= right["student"].mean()),
        gain_parts=tuple(
            (name, float(right[after].mean() - right[before].mean()), interval(means[after] - means[before]))
            for name, before, after in steps
            if before in right and after in right
        ),
        test_labels=labels,
        test_answers=said,
        test_confidence=calibrated,
    )


def _score(
    contender: Contender,
    dev_labels: IntArray,
    test_labels: IntArray,
    schema: LabelSchema,
    said: dict[str, IntArray],
    means: dict[str, FloatArray],
    balanced: dict[str, FloatArray],
) -> Scores:
    inside = (test_labels >= 0).any(1)
    labels, logits = test_labels[inside], contender.test_logits[inside]
    known = (dev_labels >= 0).any(1)
    temperatures = fit_temperatures(contender.dev_logits[known], dev_labels[known], schema)
    raw, calibrated = probabilities(logits, schema), probabilities(logits, schema, temperatures)
    ece_raw, bins_raw = reliability(raw, labels, schema)
    ece, bins = reliability(calibrated, labels, schema)
    classes = class_scores(said[contender.name], labels, schema)
    threshold = choose_threshold(contender.dev_logits, dev_labels, schema)
    return Scores(
        name=contender.name,
        title=contender.title,
        accuracy=float(is_right(said[contender.name], labels).mean()),
        accuracy_ci=interval(means[contender.name]),
        balanced_accuracy=balanced_accuracy(classes),
        balanced_accuracy_ci=interval(balanced[contender.name]) if balanced else None,
        macro_f1=macro_f1(classes),
        nll=nll(logits, labels, schema, temperatures),
        nll_raw=nll(logits, labels, schema),
        ece=ece,
        ece_raw=ece_raw,
        temperatures=temperatures,
        agreement=agreement(said[contender.name], said["teacher"]) if "teacher" in said else None,
        classes=classes,
        reliability_raw=bins_raw,
        reliability=bins,
        out_of_scope=judge_scope(*threshold, contender.test_logits, test_labels, schema) if threshold else None,
        num_parameters=contender.num_parameters,
        size_bytes=contender.size_bytes,
        latency=contender.latency,
        peak_memory_bytes=contender.peak_memory_bytes,
        curve=contender.curve,
        notes=dict(contender.notes or {}),
    )


def agreement(answers_NL: IntArray, others_NL: IntArray) -> float:
    """Share of rows with the same whole answer."""
    return float((answers_NL == others_NL).all(1).mean())


def _balanced(right: dict[str, IntArray], labels_NL: IntArray, schema: LabelSchema, seed: int) -> dict[str, FloatArray]:
    """Resampled balanced accuracies; nothing where a row belongs to several classes and so to no one stratum."""
    if len(schema.fields) > 1 or schema.fields[0].multi:
        return {}
    return bootstrap_balanced(right, labels_NL[:, 0], seed=seed)


def _compare(
    student: Scores,
    other: Scores,
    right: dict[str, IntArray],
    means: dict[str, FloatArray],
    balanced: dict[str, FloatArray],
) -> Comparison:
    only_student, only_other, p_value = mcnemar(right["student"], right[other.name])
    return Comparison(
        other=other.name,
        difference=float(right["student"].mean() - right[other.name].mean()),
        difference_ci=interval(means["student"] - means[other.name]),
        balanced_difference=student.balanced_accuracy - other.balanced_accuracy if balanced else None,
        balanced_difference_ci=interval(balanced["student"] - balanced[other.name]) if balanced else None,
        p_value=p_value,
        only_student_right=only_student,
        only_other_right=only_other,
    )


def _gap_closed(right: dict[str, IntArray], means: dict[str, FloatArray]) -> tuple[float | None, Interval | None]:
    if not {"teacher", "control"} <= set(right):
        return None, None
    gap = float(right["teacher"].mean() - right["control"].mean())
    if gap == 0:
        return None, None
    closed = float(right["student"].mean() - right["control"].mean()) / gap
    return closed, gap_closed_interval(means["student"], means["control"], means["teacher"])


def _verdict(comparisons: Sequence[Comparison]) -> Verdict:
    """Against the control alone: an interval that holds 0 is no gain, whichever way it leans."""
    against = next(c for c in comparisons if c.other == "control")
    low, high = against.difference_ci
    if low > 0:
        return "gain"
    return "harm" if high < 0 else "no gain"


def mean_kl(from_logits_NC: FloatArray, to_logits_NC: FloatArray, schema: LabelSchema) -> float:
    """Mean KL divergence in nats a row from the first model's probabilities to the second's, fields summed."""
    p, q = probabilities(from_logits_NC, schema), probabilities(to_logits_NC, schema)
    p, q = np.clip(p, 1e-12, 1.0), np.clip(q, 1e-12, 1.0)
    total_N = np.zeros(len(p))
    for field, logit, _ in schema.parts():
        a, b = p[:, logit], q[:, logit]
        total_N += (a * np.log(a / b)).sum(1)
        if field.multi:
            no_a, no_b = np.clip(1 - a, 1e-12, 1), np.clip(1 - b, 1e-12, 1)
            total_N += (no_a * np.log(no_a / no_b)).sum(1)
    return float(total_N.mean()) if len(total_N) else 0.0
