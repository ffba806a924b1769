import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from potstill.training.batches import batch_stream, epoch_batches, steps_per_epoch


@given(st.integers(1, 500), st.integers(2, 40), st.integers(0, 3))
def test_an_epoch_has_every_row_once(num_rows, batch_size, epoch):
    lengths = np.random.default_rng(num_rows).integers(1, 30, num_rows)
    batches = epoch_batches(lengths, batch_size, seed=1, epoch=epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(num_rows))
    assert len(batches) == steps_per_epoch(num_rows, batch_size)


def test_rows_of_like_length_stand_together():
    lengths = np.random.default_rng(0).integers(1, 60, 3000)
    batches = epoch_batches(lengths, 32, seed=0, epoch=0)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.15 * lengths.sum()


def test_epochs_and_seeds_differ_and_repeat():
    lengths = np.ones(100, np.int32)
    first = epoch_batches(lengths, 10, seed=0, epoch=0)
    assert all((a == b).all() for a, b in zip(first, epoch_batches(lengths, 10, seed=0, epoch=0), strict=True))
    assert any((a != b).any() for a, b in zip(first, epoch_batches(lengths, 10, seed=0, epoch=1), strict=True))
    assert any((a != b).any() for a, b in zip(first, epoch_batches(lengths, 10, seed=1, epoch=0), strict=True))


@given(st.integers(0, 60))
def test_a_stream_can_be_entered_anywhere(start):
    lengths = np.random.default_rng(0).integers(1, 9, 70)
    whole = list(itertools.islice(batch_stream(lengths, 8, seed=3, start=0), 80))
    tail = list(itertools.islice(batch_stream(lengths, 8, seed=3, start=start), 80 - start))
    for (step, batch), (other_step, other) in zip(whole[start:], tail, strict=True):
        assert step == other_step
        assert batch.tolist() == other.tolist()
