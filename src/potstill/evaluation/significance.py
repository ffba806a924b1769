"""Is a difference more than luck? Paired bootstrap and McNemar's exact test. N test rows, R resamples."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from potstill.evaluation.assessment import Interval
from potstill.types import FloatArray, IntArray

NUM_RESAMPLES = 10_000
# Below this difference of teacher and control a share of the gap is noise over noise.
SMALLEST_GAP_IN_SIGMAS = 2.0


def bootstrap_means(right: Mapping[str, IntArray], *, seed: int) -> dict[str, FloatArray]:
    """Accuracy of every contender on the same R resamples of the test rows (Efron 1979).

    Rows are resampled together for all contenders, so that differences of two results are paired. Rows that look the
    same for all contenders are drawn as one multinomial count, which is the same distribution and far cheaper.
    """
    names = list(right)
    patterns_NP = np.stack([np.asarray(right[name], np.int64) for name in names], axis=1)
    distinct_KP, counts_K = np.unique(patterns_NP, axis=0, return_counts=True)
    num_rows = len(patterns_NP)
    random = np.random.default_rng(seed)
    drawn_RK = random.multinomial(num_rows, counts_K / num_rows, size=NUM_RESAMPLES)
    means_RP = drawn_RK @ distinct_KP / num_rows
    return {name: means_RP[:, i] for i, name in enumerate(names)}


def bootstrap_balanced(right: Mapping[str, IntArray], classes_N: IntArray, *, seed: int) -> dict[str, FloatArray]:
    """Balanced accuracy of every contender on R resamples, drawn within each class so that each keeps its rows."""
    parts = [
        bootstrap_means({name: np.asarray(values)[classes_N == k] for name, values in right.items()}, seed=seed + i)
        for i, k in enumerate(np.unique(classes_N))
    ]
    return {name: np.mean([part[name] for part in parts], axis=0) for name in right}


def interval(samples_R: FloatArray) -> Interval:
    """The middle 95 % of the samples."""
    low, high = np.quantile(samples_R, [0.025, 0.975])
    return float(low), float(high)


def gap_closed_interval(student_R: FloatArray, control_R: FloatArray, teacher_R: FloatArray) -> Interval | None:
    """Interval of (student - control) / (teacher - control); None when the denominator may be 0."""
    gap_R = teacher_R - control_R
    if abs(float(gap_R.mean())) < SMALLEST_GAP_IN_SIGMAS * float(gap_R.std()) or (gap_R == 0).any():
        return None
    return interval((student_R - control_R) / gap_R)


def mcnemar(right_a: IntArray, right_b: IntArray) -> tuple[int, int, float]:
    """Rows that only a got right, rows that only b got right, and the exact two-sided p-value (McNemar 1947)."""
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    return only_a, only_b, binomial_p(min(only_a, only_b), only_a + only_b)


def binomial_p(fewer: int, total: int) -> float:
    """Two-sided p-value of at most `fewer` heads in `total` throws of a fair coin."""
    if total == 0:
        return 1.0
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(fewer + 1)
    ]
    highest = max(logs)
    return min(1.0, 2 * math.exp(highest) * math.fsum(math.exp(value - highest) for value in logs))


def paired_interval(difference_N: FloatArray, *, seed: int) -> Interval:
    """Bootstrap interval of the mean of row-wise differences, such as those of several seeds on average."""
    distinct_K, counts_K = np.unique(np.round(difference_N, 9), return_counts=True)
    random = np.random.default_rng(seed)
    drawn_RK = random.multinomial(len(difference_N), counts_K / len(difference_N), size=NUM_RESAMPLES)
    return interval(drawn_RK @ distinct_K / len(difference_N))
