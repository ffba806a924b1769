import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from potstill.evaluation.assess import mean_kl
from potstill.evaluation.calibration import fit_temperatures
from potstill.evaluation.metrics import (
    accuracy,
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
from potstill.evaluation.out_of_scope import auroc, choose_threshold, judge_scope
from potstill.types import OUT_OF_SCOPE, Field, LabelSchema

SINGLE = LabelSchema((Field(name="a", classes=("x", "y", "z")),))
MULTI = LabelSchema((Field(name="a", classes=("x", "y", "z"), multi=True),))
BOTH = LabelSchema((SINGLE.fields[0], Field(name="b", classes=("p", "q"), multi=True)))


def draw(seed, num_rows=60):
    random = np.random.default_rng(seed)
    return (random.normal(size=(num_rows, 3)) * 2).astype(np.float32), random.integers(0, 3, (num_rows, 1)).astype(
        np.int32
    )


@given(seed=st.integers(0, 10_000))
def test_single_label_metrics_agree_with_scikit_learn(seed):
    logits, labels = draw(seed)
    labels[:3, 0] = [0, 1, 2]
    said = answers(logits, SINGLE)
    assert accuracy(logits, labels, SINGLE) == pytest.approx((said == labels).mean())
    assert macro_f1(class_scores(said, labels, SINGLE)) == pytest.approx(f1_score(labels, said, average="macro"))
    p = probabilities(logits, SINGLE)
    assert nll(logits, labels, SINGLE) == pytest.approx(log_loss(labels[:, 0], p, labels=[0, 1, 2]), rel=1e-5)


@given(seed=st.integers(0, 10_000))
def test_multi_label_metrics_agree_with_scikit_learn(seed):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(40, 3)).astype(np.float32)
    labels = random.integers(0, 2, (40, 3)).astype(np.int32)
    said = answers(logits, MULTI)
    expected = f1_score(labels, said, average=None, zero_division=0)
    held = labels.any(0)
    assert macro_f1(class_scores(said, labels, MULTI)) == pytest.approx(expected[held].mean())
    p = probabilities(logits, MULTI)
    reference = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).sum(1).mean()
    assert nll(logits, labels, MULTI) == pytest.approx(reference, rel=1e-5)


def test_a_row_is_right_when_every_known_field_is():
    labels = np.array([[0, 1, 0], [0, -1, -1], [-1, -1, -1]], np.int32)
    said = np.array([[0, 1, 1], [0, 1, 1], [0, 1, 1]], np.int32)
    assert is_right(said, labels).tolist() == [False, True, False]


def test_calibration_error_of_a_perfect_forecaster_and_of_a_braggart():
    p = np.tile([[0.75, 0.25, 0.0]], (4000, 1))
    labels = (np.arange(4000) % 4 == 0).astype(np.int32)[:, None]
    assert reliability(p, labels, SINGLE)[0] == pytest.approx(0, abs=1e-9)
    sure = np.tile([[1.0, 0.0, 0.0]], (4000, 1))
    error, bins = reliability(sure, labels, SINGLE)
    assert error == pytest.approx(0.25) and len(bins) == 1


@given(seed=st.integers(0, 1000), true_temperature=st.sampled_from([0.5, 1.0, 3.0]))
def test_temperature_is_recovered(seed, true_temperature):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(6000, 3)) * 2
    p = probabilities(logits, SINGLE)
    labels = (p.cumsum(1) < random.random((6000, 1))).sum(1).astype(np.int32)[:, None]
    (found,) = fit_temperatures(logits * true_temperature, labels, SINGLE)
    assert found == pytest.approx(true_temperature, rel=0.12)


def test_ten_rows_can_not_drive_the_temperature_away():
    logits = np.eye(3, dtype=np.float32)[np.arange(10) % 3] * 3
    (found,) = fit_temperatures(logits, (np.arange(10) % 3).astype(np.int32)[:, None], SINGLE)
    assert 0.4 < found < 1


def test_confidence_is_that_of_the_whole_answer():
    p = np.array([[0.7, 0.2, 0.1, 0.9, 0.4]])
    assert confidence(p, BOTH)[0] == pytest.approx(0.7 * 0.9 * 0.6)


@given(seed=st.integers(0, 1000))
def test_auroc_agrees_with_scikit_learn_ties_included(seed):
    random = np.random.default_rng(seed)
    positive, negative = random.integers(0, 6, 20).astype(float), random.integers(0, 5, 15).astype(float)
    expected = roc_auc_score([1] * 20 + [0] * 15, np.concatenate([positive, negative]))
    assert auroc(positive, negative) == pytest.approx(expected)


def test_rows_out_of_scope_are_refused_at_the_dev_threshold():
    random = np.random.default_rng(0)
    inside = np.eye(3, dtype=np.float32)[random.integers(0, 3, 400)] * 6 + random.normal(size=(400, 3)) * 0.5
    outside = random.normal(size=(100, 3)) * 0.5
    logits = np.concatenate([inside, outside]).astype(np.float32)
    labels = np.concatenate([inside.argmax(1), np.full(100, OUT_OF_SCOPE)]).astype(np.int32)[:, None]
    chosen = choose_threshold(logits, labels, SINGLE)
    found = judge_scope(*chosen, logits, labels, SINGLE)
    assert found.recall > 0.95 and found.in_scope_kept == pytest.approx(0.95, abs=0.01)
    assert judge_scope(*chosen, logits[:400], labels[:400], SINGLE) is None


@given(seed=st.integers(0, 1000))
def test_kl_is_zero_for_equal_models_and_positive_else(seed):
    logits, _ = draw(seed)
    assert mean_kl(logits, logits, SINGLE) == pytest.approx(0, abs=1e-9)
    assert mean_kl(logits, logits[::-1].copy(), SINGLE) > 0


def test_balanced_accuracy_is_the_mean_recall():
    schema = LabelSchema(fields=(Field(name="label", classes=("rare", "common", "never")),))
    labels = np.array([[0]] * 2 + [[1]] * 8, np.int32)
    said = np.array([[1], [0]] + [[1]] * 8, np.int32)
    assert balanced_accuracy(class_scores(said, labels, schema)) == pytest.approx((0.5 + 1.0) / 2)
