import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.signals.tokens.columns import compress, decompress, join_ranks, join_words, rank, split_ranks, split_words


@given(seed=st.integers(0, 10**6), shape=st.tuples(st.integers(1, 5), st.integers(0, 9)), highest=st.integers(1, 2**24))
def test_ranks_of_any_size_come_back(seed, shape, highest):
    ranks_Kn = np.random.default_rng(seed).integers(0, highest, shape)
    assert np.array_equal(join_ranks(split_ranks(ranks_Kn), shape[0]), ranks_Kn)


def test_ranks_at_the_border_of_one_byte_come_back():
    ranks_Kn = np.array([[0, 254, 255, 256], [255 + 65_535, 255 + 65_536, 1, 255]])
    assert np.array_equal(join_ranks(split_ranks(ranks_Kn), 2), ranks_Kn)


@given(values=st.lists(st.integers(0, 2**32 - 1), max_size=9))
def test_words_come_back(values):
    assert join_words(split_words(np.array(values, np.uint32))).tolist() == values


@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_the_most_frequent_index_has_rank_0(values):
    table, ranks = rank(np.array(values))
    assert table[ranks].tolist() == values
    counts = [values.count(index) for index in table.tolist()]
    assert counts == sorted(counts, reverse=True)


@given(planes=st.lists(st.binary(max_size=20), max_size=4))
def test_planes_come_back(planes):
    pytest.importorskip("zstandard")
    packed = compress([np.frombuffer(plane, np.uint8) for plane in planes])
    assert [plane.tobytes() for plane in decompress(packed)] == planes
