import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from potstill.data.duplicates import _grams, _jaccard, find_leaks, normal_form
from potstill.data.rows import Rows


def rows(texts):
    return Rows(inputs=texts, labels=np.zeros((len(texts), 1), np.int32), line_numbers=np.arange(len(texts)))


@given(
    texts=st.lists(st.text("ab ", min_size=1, max_size=20), min_size=1, max_size=12),
    others=st.lists(st.text("ab ", min_size=1, max_size=20), min_size=1, max_size=12),
    near=st.sampled_from([0.3, 0.6, 0.9]),
)
def test_prefix_filtering_finds_what_comparing_all_pairs_finds(texts, others, near):
    found = {pair.position: pair.similarity for pair in find_leaks(rows(texts), rows(others), near)}
    keys = [normal_form(text) or text for text in others]
    for i, text in enumerate(texts):
        key = normal_form(text) or text
        best = max(1.0 if key == other else _jaccard(_grams(key), _grams(other)) for other in keys)
        if best >= near:
            assert found[i] == best
        else:
            assert i not in found


def test_case_and_signs_do_not_hide_a_copy():
    pairs = find_leaks(rows(["where is my card", "something else"]), rows(["Where is my CARD?!"]), 0.9)
    assert [(p.position, p.similarity) for p in pairs] == [(0, 1.0)]


def test_near_copies_in_korean():
    pairs = find_leaks(
        rows(["내일 서울 날씨가 어떤지 알려 주세요 부탁합니다"]),
        rows(["내일 서울 날씨가 어떤지 알려 주세요 부탁드립니다"]),
        0.6,
    )
    assert len(pairs) == 1 and pairs[0].similarity < 1
