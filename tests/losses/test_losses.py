"""Every loss against a dense float64 reference written out by hand, and against the public contract."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from potstill.errors import ConfigurationError
from potstill.losses import CrossEntropy, Dist, EmbeddingCosine, EmbeddingRelational, ForwardKL, HardLabel, HiddenMSE
from potstill.testing.check_loss import check_loss

LOGITS = arrays(np.float64, (4, 3), elements=st.floats(-8, 8).map(lambda x: round(x, 3)))
TEMPERATURES = st.sampled_from([0.5, 1.0, 2.0, 4.0])


def softmax(logits, temperature=1.0):
    shifted = logits / temperature
    shifted = shifted - shifted.max(-1, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)


def call(loss, student, target):
    return loss(torch.tensor(student, dtype=torch.float32), torch.tensor(target)).numpy()


@pytest.mark.parametrize(
    ("loss", "zero"),
    [
        (CrossEntropy(), False),
        (CrossEntropy(label_smoothing=0.1), False),
        (ForwardKL(), True),
        (ForwardKL(temperature=4.0), True),
        (HardLabel(), False),
        (Dist(), True),
        (Dist(temperature=2.0), True),
        (EmbeddingCosine(), True),
        (EmbeddingRelational(), True),
        (HiddenMSE(), True),
    ],
    ids=str,
)
def test_keeps_the_contract(loss, zero):
    check_loss(loss, zero_at_teacher=zero)


@given(LOGITS, LOGITS, TEMPERATURES)
def test_forward_kl_matches_the_reference(student, teacher, temperature):
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    expected = (p * (np.log(p) - np.log(q))).sum(-1) * temperature**2
    np.testing.assert_allclose(call(ForwardKL(temperature=temperature), student, teacher), expected, atol=2e-4)


@given(LOGITS, st.lists(st.integers(0, 2), min_size=4, max_size=4), st.sampled_from([0.0, 0.1, 0.5]))
def test_cross_entropy_matches_the_reference(student, labels, smoothing):
    target = np.eye(3)[labels] * (1 - smoothing) + smoothing / 3
    expected = -(target * np.log(softmax(student))).sum(-1)
    got = call(CrossEntropy(label_smoothing=smoothing), student, np.array(labels))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@given(LOGITS, LOGITS)
def test_hard_label_is_cross_entropy_with_the_teachers_answer(student, teacher):
    expected = -np.log(softmax(student)[np.arange(4), teacher.argmax(-1)])
    np.testing.assert_allclose(call(HardLabel(), student, teacher), expected, atol=1e-4)


def correlation(a, b):
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    return (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


@given(st.integers(0, 10_000), TEMPERATURES)
def test_dist_matches_the_reference(seed, temperature):
    random = np.random.default_rng(seed)
    student, teacher = random.normal(size=(4, 5)), random.normal(size=(4, 5))
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    expected = (1 - correlation(q, p) + (1 - correlation(q.T, p.T)).mean()) * temperature**2
    np.testing.assert_allclose(call(Dist(temperature=temperature), student, teacher), expected, atol=2e-3)


@given(LOGITS, LOGITS, st.floats(-5, 5))
def test_soft_losses_ignore_a_constant_added_to_logits(student, teacher, shift):
    for loss in (ForwardKL(temperature=2.0), HardLabel()):
        np.testing.assert_allclose(call(loss, student, teacher), call(loss, student + shift, teacher), atol=1e-3)


def test_relational_compares_geometry_across_widths():
    features = torch.randn(5, 4)
    rotation = torch.linalg.qr(torch.randn(4, 4)).Q
    wider = torch.nn.functional.pad(features @ rotation, (0, 3))
    assert float(EmbeddingRelational()(wider, features).abs().max()) < 1e-6


def test_hidden_mse_is_a_mean_over_the_width():
    assert call(HiddenMSE(), np.zeros((2, 4)), np.full((2, 4), 3.0)).tolist() == [9.0, 9.0]


@pytest.mark.parametrize("loss", [lambda: ForwardKL(temperature=0), lambda: Dist(temperature=-1)])
def test_a_temperature_of_nothing_is_refused(loss):
    with pytest.raises(ConfigurationError, match="above 0"):
        loss()


def test_smoothing_of_everything_is_refused():
    with pytest.raises(ConfigurationError, match="share"):
        CrossEntropy(label_smoothing=1.0)
