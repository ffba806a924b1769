"""Metrics over logits and label columns. Shapes: N rows, L label columns, C logits, K classes of one field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from potstill.evaluation.assessment import ClassScore, ReliabilityBin
from potstill.types import FloatArray, IntArray, LabelSchema

NUM_BINS = 15


def probabilities(
    logits_NC: FloatArray, schema: LabelSchema, temperatures: Sequence[float] | None = None
) -> FloatArray:
    """Softmax of each field, sigmoid of each class of a multi-label field; float64, N x C."""
    result = np.empty(logits_NC.shape, np.float64)
    for i, (field, logit, _) in enumerate(schema.parts()):
        scaled = logits_NC[:, logit].astype(np.float64) / (temperatures[i] if temperatures else 1.0)
        if field.multi:
            result[:, logit] = 1 / (1 + np.exp(-np.clip(scaled, -500, 500)))
        else:
            exponents = np.exp(scaled - scaled.max(1, keepdims=True))
            result[:, logit] = exponents / exponents.sum(1, keepdims=True)
    return result


def answers(logits_NC: FloatArray, schema: LabelSchema) -> IntArray:
    """The label columns that these logits stand for, int32, N x L."""
    result = np.empty((len(logits_NC), schema.num_columns), np.int32)
    for field, logit, column in schema.parts():
        values = logits_NC[:, logit]
        result[:, column] = values > 0 if field.multi else values.argmax(1)[:, None]
    return result


def is_right(answers_NL: IntArray, labels_NL: IntArray) -> IntArray:
    """Whether every known label column of a row is met, bool, N. A row without labels counts as wrong."""
    met: IntArray = ((answers_NL == labels_NL) | (labels_NL < 0)).all(1) & (labels_NL >= 0).any(1)
    return met


def accuracy(logits_NC: FloatArray, labels_NL: IntArray, schema: LabelSchema) -> float:
    """Share of rows with every field right; NaN without rows."""
    if len(labels_NL) == 0:
        return float("nan")
    return float(is_right(answers(logits_NC, schema), labels_NL).mean())


def confidence(probabilities_NC: FloatArray, schema: LabelSchema) -> FloatArray:
    """Probability of a row's whole answer if its parts were independent, float32, N."""
    result = np.ones(len(probabilities_NC), np.float64)
    for field, logit, _ in schema.parts():
        part = probabilities_NC[:, logit]
        result *= np.maximum(part, 1 - part).prod(1) if field.multi else part.max(1)
    return result.astype(np.float32)


def nll(
    logits_NC: FloatArray,
    labels_NL: IntArray,
    schema: LabelSchema,
    temperatures: Sequence[float] | None = None,
    weights_N: FloatArray | None = None,
) -> float:
    """Negative log-likelihood in nats a row, fields (and classes of a multi-label field) summed; NaN without rows."""
    if len(labels_NL) == 0:
        return float("nan")
    total = 0.0
    for i, (field, logit, column) in enumerate(schema.parts()):
        scaled = logits_NC[:, logit].astype(np.float64) / (temperatures[i] if temperatures else 1.0)
        values_N = field_nll(scaled, labels_NL[:, column], multi=field.multi)
        total += float((values_N if weights_N is None else values_N * weights_N).sum())
    return total / len(labels_NL)


def field_nll(logits_NK: FloatArray, labels: IntArray, *, multi: bool) -> FloatArray:
    """Nats of each row for one field, N; unknown labels cost nothing."""
    if multi:
        signed = np.where(labels == 1, logits_NK, -logits_NK)
        values: FloatArray = (np.logaddexp(0, -signed) * (labels >= 0)).sum(1)
        return values
    target = labels[:, 0]
    highest = logits_NK.max(1)
    log_sum = highest + np.log(np.exp(logits_NK - highest[:, None]).sum(1))
    picked = logits_NK[np.arange(len(target)), np.maximum(target, 0)]
    return np.where(target >= 0, log_sum - picked, 0.0)


def reliability(
    probabilities_NC: FloatArray, labels_NL: IntArray, schema: LabelSchema
) -> tuple[float, tuple[ReliabilityBin, ...]]:
    """Expected calibration error (Naeini et al. 2015; equal-width bins) and the bins behind it.

    Single-answer fields count their top probability, multi-label classes the probability of the answer given; all
    decisions of all fields stand in one histogram.
    """
    sure, right = _decisions(probabilities_NC, labels_NL, schema)
    if len(sure) == 0:
        return float("nan"), ()
    bin_of = np.minimum((sure * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    bins = []
    error = 0.0
    for b in range(NUM_BINS):
        inside = bin_of == b
        if inside.any():
            found = ReliabilityBin(
                confidence=float(sure[inside].mean()), accuracy=float(right[inside].mean()), num_rows=int(inside.sum())
            )
            bins.append(found)
            error += abs(found.confidence - found.accuracy) * found.num_rows / len(sure)
    return error, tuple(bins)


def _decisions(probabilities_NC: FloatArray, labels_NL: IntArray, schema: LabelSchema) -> tuple[FloatArray, IntArray]:
    sure, right = [], []
    for field, logit, column in schema.parts():
        part, labels = probabilities_NC[:, logit], labels_NL[:, column]
        known = labels >= 0
        if field.multi:
            sure.append(np.maximum(part, 1 - part)[known])
            right.append(((part > 0.5) == (labels == 1))[known])
        else:
            sure.append(part.max(1)[known[:, 0]])
            right.append((part.argmax(1) == labels[:, 0])[known[:, 0]])
    return np.concatenate(sure), np.concatenate(right)


def class_scores(answers_NL: IntArray, labels_NL: IntArray, schema: LabelSchema) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of every class; a class that never stands in labels or answers scores 0."""
    found = []
    for field, _, column in schema.parts():
        said, true = answers_NL[:, column], labels_NL[:, column]
        for k, name in enumerate(field.classes):
            yes, is_true = (said[:, k] == 1, true[:, k] == 1) if field.multi else (said[:, 0] == k, true[:, 0] == k)
            known = true[:, k] >= 0 if field.multi else true[:, 0] >= 0
            hits = int((yes & is_true).sum())
            num_said, num_true = int((yes & known).sum()), int(is_true.sum())
            found.append(
                ClassScore(
                    field=field.name,
                    label=name,
                    precision=hits / num_said if num_said else 0.0,
                    recall=hits / num_true if num_true else 0.0,
                    f1=2 * hits / (num_said + num_true) if num_said + num_true else 0.0,
                    num_rows=num_true,
                )
            )
    return tuple(found)


def macro_f1(scores: Sequence[ClassScore]) -> float:
    """Mean F1 over the classes that the test rows hold; classes without a test row say nothing."""
    held = [score.f1 for score in scores if score.num_rows]
    return float(np.mean(held)) if held else float("nan")


def balanced_accuracy(scores: Sequence[ClassScore]) -> float:
    """Mean recall over the classes that the test rows hold: a class of few rows counts as much as one of many."""
    held = [score.recall for score in scores if score.num_rows]
    return float(np.mean(held)) if held else float("nan")
