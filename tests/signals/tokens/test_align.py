import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.errors import StoreError
from potstill.signals.tokens import TokenRecord, align_record, byte_ends


def cut(text, places):
    """Spans of a text cut at these places."""
    borders = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return list(itertools.pairwise(borders))


def record(ends, first=0):
    return TokenRecord(ids=np.zeros(len(ends), np.int32), ends=np.asarray(ends), first=first)


def starts(ends):
    return [0, *ends[:-1].tolist()]


@given(
    text=st.text(min_size=1, max_size=30),
    one=st.lists(st.integers(0, 99)),
    other=st.lists(st.integers(0, 99)),
    data=st.data(),
)
def test_every_pair_begins_at_the_same_byte_and_none_is_missed(text, one, other, data):
    ends_T, ends_S = byte_ends(text, cut(text, one)), byte_ends(text, cut(text, other))
    size = len(text.encode("utf-8", "surrogatepass"))
    assert ends_T[-1] == ends_S[-1] == size
    first = data.draw(st.integers(0, len(ends_T) - 1))
    shared = sorted({*starts(ends_T)[first:]} & {*starts(ends_S)})
    if not shared:
        with pytest.raises(StoreError, match="nothing can be compared"):
            align_record(record(ends_T, first), ends_S, num_bytes=size)
        return
    found = align_record(record(ends_T, first), ends_S, num_bytes=size)
    assert [starts(ends_S)[s] for s in found.student] == shared
    assert [starts(ends_T)[first + t] for t in found.teacher] == shared
    same = [ends_T[first + t] == ends_S[s] for t, s in zip(found.teacher, found.student, strict=True)]
    assert found.same_end.tolist() == same
    assert 0 < found.coverage <= 1


def test_the_same_tokenizer_pairs_everything():
    ends = byte_ends("a naïve café", cut("a naïve café", [1, 3, 5, 8]))
    found = align_record(record(ends), ends, num_bytes=len("a naïve café".encode()))
    assert found.teacher.tolist() == found.student.tolist() == list(range(len(ends)))
    assert found.same_end.all() and found.coverage == 1


def test_a_character_of_several_tokens_ends_with_the_last():
    # Three tokens for one Korean syllable, as byte-level BPE cuts it.
    assert byte_ends("a한b", [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)]).tolist() == [1, 1, 1, 4, 5]


def test_a_real_byte_level_tokenizer_agrees_with_its_bytes():
    from tests.lm import TEXTS, tiny_tokenizer

    tokenizer = tiny_tokenizer(num_merges=40)
    other = tiny_tokenizer(num_merges=10)
    text = TEXTS[0] + " 환율 naïve 🙂"
    sides = []
    for side in (tokenizer, other):
        encoded = side(text, return_offsets_mapping=True)
        ends = byte_ends(text, encoded["offset_mapping"])
        assert ends[-1] == len(text.encode())
        for i in np.flatnonzero(np.diff(ends, prepend=0)):
            assert text.encode()[: ends[i]].decode() == side.decode(encoded["input_ids"][: i + 1])
        sides.append(ends)
    found = align_record(record(sides[0]), sides[1], num_bytes=len(text.encode()))
    assert found.coverage > 0.5


def test_another_text_cannot_pass():
    ends = byte_ends("the same words", cut("the same words", [3, 8]))
    with pytest.raises(StoreError, match="student's tokens end at byte 9"):
        align_record(record(ends), np.array([4, 9]), num_bytes=14)
    with pytest.raises(StoreError, match="teacher's tokens end at byte 14"):
        align_record(record(ends), np.array([4, 9]), num_bytes=9)
    with pytest.raises(StoreError, match="spans characters"):
        byte_ends("short", [(0, 9)])
