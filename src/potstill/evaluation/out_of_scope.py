"""Refusing what belongs to no class, by a score of the logits. Shapes: N rows, C logits."""

from __future__ import annotations

from typing import Literal

import numpy as np

from potstill.evaluation.assessment import OutOfScope
from potstill.types import OUT_OF_SCOPE, FloatArray, IntArray, LabelSchema

Score = Literal["energy", "max_logit"]
KEPT = 0.95


def out_of_scope_rows(labels_NL: IntArray) -> IntArray:
    """Which rows are marked as out of scope, bool, N."""
    marked: IntArray = (labels_NL == OUT_OF_SCOPE).any(1)
    return marked


def scope_score(logits_NC: FloatArray, schema: LabelSchema, score: Score) -> FloatArray:
    """How much a row looks in scope: log-sum-exp (Liu et al. 2020, arXiv 2010.03759) or the largest logit.

    Several fields count as the least of theirs. A multi-label field has no such score beyond its largest logit.
    """
    per_field = []
    for field, logit, _ in schema.parts():
        values = logits_NC[:, logit].astype(np.float64)
        highest = values.max(1)
        if score == "energy" and not field.multi:
            highest = highest + np.log(np.exp(values - highest[:, None]).sum(1))
        per_field.append(highest)
    scores: FloatArray = np.min(per_field, axis=0)
    return scores


def auroc(positive: FloatArray, negative: FloatArray) -> float:
    """Chance that a positive scores above a negative, ties as half."""
    both = np.concatenate([positive, negative])
    order = np.argsort(both, kind="stable")
    values, start, counts = np.unique(both[order], return_index=True, return_counts=True)
    del values
    ranks = np.empty(len(both))
    ranks[order] = np.repeat(start + (counts + 1) / 2, counts)
    total = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(total / (len(positive) * len(negative)))


def choose_threshold(dev_logits: FloatArray, dev_labels: IntArray, schema: LabelSchema) -> tuple[Score, float] | None:
    """Score and threshold that keep 95 % of the in-scope dev rows; None without such rows.

    Where dev holds rows out of scope the better score is chosen there, else the energy is taken.
    """
    outside = out_of_scope_rows(dev_labels)
    inside = (dev_labels >= 0).any(1)
    if not inside.any():
        return None
    score: Score = "energy"
    if outside.any():
        kinds: tuple[Score, Score] = ("energy", "max_logit")
        areas = []
        for kind in kinds:
            scores = scope_score(dev_logits, schema, kind)
            areas.append(auroc(scores[inside], scores[outside]))
        score = kinds[int(np.argmax(areas))]
    kept = scope_score(dev_logits, schema, score)[inside]
    return score, float(np.quantile(kept, 1 - KEPT))


def judge_scope(
    score: Score, threshold: float, test_logits: FloatArray, test_labels: IntArray, schema: LabelSchema
) -> OutOfScope | None:
    """What the threshold does on test; None when test holds no row out of scope.

    `recall_at_95` sets the threshold on the in-scope test rows themselves, as published figures do, so it compares
    scores and not thresholds; `recall` uses the one that ships.
    """
    outside = out_of_scope_rows(test_labels)
    inside = (test_labels >= 0).any(1)
    if not outside.any() or not inside.any():
        return None
    scores = scope_score(test_logits, schema, score)
    return OutOfScope(
        score=score,
        threshold=threshold,
        recall=float((scores[outside] < threshold).mean()),
        recall_at_95=float((scores[outside] < np.quantile(scores[inside], 1 - KEPT)).mean()),
        in_scope_kept=float((scores[inside] >= threshold).mean()),
        auroc=auroc(scores[inside], scores[outside]),
    )
