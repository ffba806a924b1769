import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from potstill.signals.codec import Codec
from potstill.types import Field, LabelSchema


def schema(num_classes):
    return LabelSchema((Field(name="label", classes=tuple(f"c{i:05d}" for i in range(num_classes))),))


@given(seed=st.integers(0, 1000), num_rows=st.integers(1, 9), scale=st.sampled_from([0.1, 5.0, 50.0]))
def test_dense_rows_come_back_within_half_precision(seed, num_rows, scale):
    codec = Codec.of(schema(7))
    logits = (np.random.default_rng(seed).normal(size=(num_rows, 7)) * scale).astype(np.float32)
    content = codec.encode(logits)
    assert len(content) == num_rows * codec.row_bytes
    np.testing.assert_allclose(codec.decode(content), logits, rtol=1e-3, atol=1e-3)


@given(seed=st.integers(0, 1000))
def test_many_classes_keep_their_top_and_the_mass_of_the_rest(seed):
    codec = Codec.of(schema(1500))
    assert codec.top_k == 64
    logits = (np.random.default_rng(seed).normal(size=(3, 1500)) * 4).astype(np.float32)
    back = codec.decode(codec.encode(logits)).astype(np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    q = np.exp(back)
    np.testing.assert_allclose(q.sum(1), 1, atol=5e-3)
    top = np.argsort(-p, axis=1)[:, :64]
    np.testing.assert_allclose(np.take_along_axis(q, top, 1), np.take_along_axis(p, top, 1), rtol=1e-2, atol=1e-5)


def test_infinite_logits_stay_finite():
    codec = Codec.of(schema(2))
    assert np.isfinite(codec.decode(codec.encode(np.array([[1e9, -1e9]], np.float32)))).all()
