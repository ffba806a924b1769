import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.signals.label_masses import checked_tokens, label_masses


def tokens_of(pieces, alternatives):
    """Tokens of a reply; `alternatives`: position -> [(text, probability)]."""
    found = []
    for i, piece in enumerate(pieces):
        listed = alternatives.get(i, [(piece, 1.0)])
        own = dict(listed)[piece]
        top = [{"token": text, "logprob": math.log(p)} for text, p in listed]
        found.append({"token": piece, "logprob": math.log(own), "top_logprobs": top})
    return found


def masses_of(classes, said, pieces, tokens):
    content = "".join(pieces)
    return label_masses([f'{name}"' for name in classes], f'{said}"', content, tokens, content.index(said))


def test_soft_labels_follow_the_tokens_of_the_names():
    classes = ("card_arrival", "card_lost", "loan")
    pieces = ['{"label": "', "card", "_", "arrival", '"}']
    listed = {1: [("card", 0.7), ("loan", 0.2), ("zebra", 0.05)], 3: [("arrival", 0.9), ("lost", 0.1)]}
    masses = masses_of(classes, "card_arrival", pieces, tokens_of(pieces, listed))
    rest = 0.1 / 3
    np.testing.assert_allclose(masses, [0.7 * 0.9 + rest, 0.7 * 0.1 + rest, 0.2 + rest], atol=1e-6)


def test_a_name_that_begins_another_is_told_apart_by_its_end():
    classes = ("card", "card lost")
    pieces = ['{"label": "', "card", '"}']
    masses = masses_of(classes, "card", pieces, tokens_of(pieces, {2: [('"}', 0.6), (" lost", 0.4)]}))
    np.testing.assert_allclose(masses, [0.6, 0.4], atol=1e-6)


@given(p=st.floats(0.01, 0.98), q=st.floats(0.01, 0.98), cut=st.integers(1, 3))
def test_masses_are_a_distribution(p, q, cut):
    classes = ("abcd", "abce", "xyz")
    pieces = ['{"l": "', "abcd"[:cut], "abcd"[cut:], '"}']
    listed = {1: [(pieces[1], p), ("x", (1 - p) / 2)], 2: [(pieces[2], q), ("abce"[cut:], (1 - q) / 2)]}
    masses = masses_of(classes, "abcd", pieces, tokens_of(pieces, listed))
    assert masses.sum() == pytest.approx(1) and (masses >= 0).all()
    assert masses[0] >= p * q - 1e-9


def test_tokens_that_do_not_spell_the_reply_are_not_trusted():
    tokens = [{"token": "x", "logprob": -0.1}]
    assert label_masses(['a"', 'b"'], 'a"', '{"label": "a"}', tokens, 11) is None
    assert label_masses(['a"', 'b"'], 'a"', "x", tokens, 0) is None


def test_a_plain_word_ends_where_the_answer_does():
    pieces = ["red"]
    listed = {0: [("red", 0.6), ("blue", 0.2), ("redd", 0.1), ("blue\n", 0.1)]}
    masses = label_masses(["blue", "red", "reddish"], "red", "red", tokens_of(pieces, listed), 0)
    np.testing.assert_allclose(masses, [0.3, 0.6, 0.1], atol=1e-6)


@pytest.mark.parametrize(
    "broken",
    [3, {"content": 3}, {"content": [3]}, {"content": [{"token": 1, "logprob": -1}]}]
    + [{"content": [{"token": "a", "logprob": value}]} for value in ("x", None, True, 0.5, math.nan)]
    + [{"content": [{"token": "a", "logprob": -1, "top_logprobs": listed}]} for listed in (3, [{"token": "b"}])],
)
def test_what_is_no_list_of_tokens_is_told_apart(broken):
    assert checked_tokens(broken) is None


def test_without_log_probabilities_there_are_no_tokens():
    assert checked_tokens(None) == checked_tokens({"content": None}) == []
    whole = json.loads('{"content": [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}]}')
    assert checked_tokens(whole) == whole["content"]
