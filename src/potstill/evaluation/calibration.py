"""Post-hoc temperature: one number a field, fitted on dev (Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

import numpy as np

from potstill.evaluation.metrics import field_nll
from potstill.types import FloatArray, IntArray, LabelSchema

LOWEST, HIGHEST = 0.05, 20.0
# Width of the prior on log T. It holds a temperature near 1 where dev has ten rows, and vanishes where it has hundreds.
PRIOR_WIDTH = 0.5
_GOLDEN = (5**0.5 - 1) / 2


def fit_temperatures(logits_NC: FloatArray, labels_NL: IntArray, schema: LabelSchema) -> tuple[float, ...]:
    """The temperature of each field that makes dev NLL least, under a prior around 1; 1 without labels."""
    temperatures = []
    for field, logit, column in schema.parts():
        known = (labels_NL[:, column] >= 0).any(1)
        values = logits_NC[known][:, logit].astype(np.float64)
        temperatures.append(_fit(values, labels_NL[known][:, column], multi=field.multi) if known.any() else 1.0)
    return tuple(temperatures)


def _fit(logits_NK: FloatArray, labels: IntArray, *, multi: bool) -> float:
    """Golden-section search over log T; the NLL has one valley in 1 / T."""

    def cost(log_t: float) -> float:
        prior = log_t**2 / (2 * PRIOR_WIDTH**2)
        return float(field_nll(logits_NK / np.exp(log_t), labels, multi=multi).sum()) + prior

    low, high = float(np.log(LOWEST)), float(np.log(HIGHEST))
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    cost_left, cost_right = cost(left), cost(right)
    for _ in range(60):
        if cost_left <= cost_right:
            high, right, cost_right = right, left, cost_left
            left = high - _GOLDEN * (high - low)
            cost_left = cost(left)
        else:
            low, left, cost_left = left, right, cost_right
            right = low + _GOLDEN * (high - low)
            cost_right = cost(right)
    return round(float(np.exp((low + high) / 2)), 6)
