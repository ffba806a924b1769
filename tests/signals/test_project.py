import numpy as np

from potstill.signals import project
from potstill.types import Field, LabelSchema

FULL = LabelSchema((Field(name="animal", classes=("bear", "cat", "dog", "tiger")),))


def softmax(logits):
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def test_other_gets_the_mass_of_all_that_is_not_kept():
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    service = LabelSchema((Field(name="animal", classes=("cat", "tiger", "other")),))
    narrow, known = project(logits, FULL, service)
    p = softmax(logits)
    expected = np.stack([p[:, 1], p[:, 3], p[:, 0] + p[:, 2]], axis=1)
    np.testing.assert_allclose(softmax(narrow), expected, atol=1e-5)
    assert known.all()


def test_without_other_a_row_of_another_class_says_nothing():
    logits = np.array([[0, 9, 0, 0], [9, 0, 0, 0]], np.float32)
    service = LabelSchema((Field(name="animal", classes=("cat", "tiger")),))
    narrow, known = project(logits, FULL, service)
    assert narrow.shape == (2, 2) and known.tolist() == [True, False]


def test_the_same_classes_pass_unchanged():
    logits = np.ones((2, 4), np.float32)
    assert project(logits, FULL, FULL)[0] is logits
