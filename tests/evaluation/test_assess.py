import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluation.assess import assess
from potstill.evaluation.assessment import Contender
from potstill.evaluation.significance import binomial_p, bootstrap_means, interval, mcnemar
from potstill.types import OUT_OF_SCOPE, Field, LabelSchema

SCHEMA = LabelSchema((Field(name="a", classes=("x", "y")),))


def contender(name, right, labels):
    """Answers rightly where `right` says so."""
    said = np.where(right, labels[:, 0], 1 - labels[:, 0])
    logits = np.eye(2, dtype=np.float32)[said] * 4
    return Contender(name=name, title=name, dev_logits=logits[:50], test_logits=logits)


def judge(student, control, teacher=0.95, baseline=None, num_rows=2000):
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, (num_rows, 1)).astype(np.int32)
    shares = {"teacher": teacher, "student": student, "control": control, "baseline": baseline}
    order = random.random(num_rows)
    found = [contender(n, order < share, labels) for n, share in shares.items() if share is not None]
    return assess(found, labels[:50], labels, SCHEMA)


def test_the_three_verdicts():
    assert judge(0.9, 0.8).verdict == "gain"
    assert judge(0.8, 0.9).verdict == "harm"
    assert judge(0.8, 0.8).verdict == "no gain"


def test_classes_counted_alike_have_intervals_of_their_own():
    """Ninety rows of one class and ten of another, of which the control gets half."""
    labels = np.repeat([0, 1], [900, 100])[:, None].astype(np.int32)
    right = np.ones(1000, bool)
    weak = right & ~((labels[:, 0] == 1) & (np.arange(1000) % 2 == 0))
    found = assess(
        [contender("student", right, labels), contender("control", weak, labels)], labels[:50], labels, SCHEMA
    )
    against = found.comparisons[0]
    assert against.difference == pytest.approx(0.05)
    assert against.balanced_difference == pytest.approx(0.25)
    low, high = against.balanced_difference_ci
    # Half of the deviation of 100 throws of a coin, to both sides.
    assert low == pytest.approx(0.25 - 1.96 * 0.025, abs=0.005)
    assert high == pytest.approx(0.25 + 1.96 * 0.025, abs=0.005)
    assert found.score("student").balanced_accuracy_ci == (1.0, 1.0)


def test_a_row_of_several_labels_belongs_to_no_one_stratum():
    schema = LabelSchema((Field(name="a", classes=("x", "y"), multi=True),))
    labels = np.random.default_rng(0).integers(0, 2, (60, 2)).astype(np.int32)
    logits = (8 * labels - 4).astype(np.float32)
    same = [Contender(name=n, title=n, dev_logits=logits, test_logits=logits) for n in ("student", "control")]
    found = assess(same, labels, labels, schema)
    assert found.score("student").balanced_accuracy_ci is None
    assert found.comparisons[0].balanced_difference_ci is None
    assert found.comparisons[0].balanced_difference is None


def test_gap_closed_and_its_interval():
    found = judge(0.9, 0.8, teacher=0.95)
    assert found.gap_closed == pytest.approx(2 / 3, abs=0.05)
    low, high = found.gap_closed_ci
    assert low < found.gap_closed < high
    assert judge(0.8, 0.9, teacher=0.9).gap_closed is None


def test_a_baseline_that_is_as_good_wins():
    assert judge(0.9, 0.8, baseline=0.9).baseline_wins
    assert not judge(0.9, 0.8, baseline=0.85).baseline_wins


def test_rows_out_of_scope_judge_rejection_and_nothing_else():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (300, 1)).astype(np.int32)
    students = [contender(n, random.random(300) < 0.9, labels) for n in ("student", "control", "teacher")]
    before = assess(students, labels[:50], labels, SCHEMA)
    more = np.concatenate([labels, np.full((40, 1), OUT_OF_SCOPE, np.int32)])
    flat = np.zeros((40, 2), np.float32)
    wider = [
        Contender(
            name=c.name, title=c.title, dev_logits=c.dev_logits, test_logits=np.concatenate([c.test_logits, flat])
        )
        for c in students
    ]
    after = assess(wider, labels[:50], more, SCHEMA)
    assert after.num_test == 300
    assert [s.accuracy for s in after.scores] == [s.accuracy for s in before.scores]
    assert after.score("student").out_of_scope.recall == 1.0


@given(seed=st.integers(0, 200))
def test_the_bootstrap_interval_is_that_of_the_normal_approximation(seed):
    right = np.random.default_rng(seed).random(1000) < 0.8
    low, high = interval(bootstrap_means({"a": right}, seed=seed)["a"])
    half = 1.96 * math.sqrt(right.mean() * (1 - right.mean()) / 1000)
    assert low == pytest.approx(right.mean() - half, abs=0.004)
    assert high == pytest.approx(right.mean() + half, abs=0.004)


def test_contenders_are_resampled_together():
    right = np.random.default_rng(0).random(500) < 0.7
    means = bootstrap_means({"a": right, "b": right}, seed=0)
    assert np.array_equal(means["a"], means["b"])


@pytest.mark.parametrize(
    ("fewer", "total", "expected"), [(0, 0, 1.0), (5, 10, 1.0), (0, 5, 0.0625), (2, 12, 0.03857421875)]
)
def test_exact_binomial_p(fewer, total, expected):
    assert binomial_p(fewer, total) == pytest.approx(expected)


def test_mcnemar_counts_the_rows_that_differ():
    a, b = np.array([1, 1, 0, 1, 0], bool), np.array([1, 0, 0, 0, 1], bool)
    assert mcnemar(a, b)[:2] == (2, 1)
