import math

import numpy as np
import pytest

from potstill.data.prompts import Chat
from potstill.signals import Store
from potstill.signals.token_capture import capture_tokens
from potstill.students.causal.chat import ChatTokens
from potstill.teachers.openai_request import RefusedError
from potstill.teachers.openai_text import OpenAIText, OpenAITextTeacher
from potstill.teachers.openai_tokens import EMPTY, can_be_ranked, id_record, pieces_of, rank_record, share_with_ids
from potstill.types import Silent
from tests.lm import tiny_tokenizer
from tests.teachers.server import Server

CHAT = Chat((("user", "where is my card"),))


@pytest.fixture(scope="module")
def chat():
    return ChatTokens(tiny_tokenizer())


@pytest.fixture
def sample(chat):
    return chat.sample(CHAT.to_json())


def entry(piece, *probabilities, others=("x", "yy", "zzz")):
    """A token as an API lists it: what was said with the first probability, and others behind it."""
    named = [{"bytes": list(piece), "token": piece.decode("utf-8", "replace")}]
    named += [{"token": other} for other in others[: len(probabilities) - 1]]
    listed = [{**name, "logprob": math.log(p)} for name, p in zip(named, probabilities, strict=True)]
    return {**listed[0], "top_logprobs": listed}


def test_ranks_and_ends_of_tokens_that_cut_a_character(chat, sample):
    # The first letter of "환율" is three bytes, cut after one of them; the last token marks the end.
    pieces = [b" na\xc3\xaf", b"ve ", b"\xed", b"\x99\x98", b"\xec\x9c\xa8", b"\n", b"</s>"]
    listed = [entry(piece, 0.5, 0.3, 0.1) for piece in pieces]
    record = rank_record(sample, chat, "naïve 환율", listed, 4)
    assert record.text == "naïve 환율" and record.first == len(sample.ids)
    start = int(record.ends[record.first - 1])
    assert (record.ends[record.first :] - start).tolist() == [4, 7, 8, 10, 13, 13]
    assert record.indices.tolist() == [[0, 1, 2, 3]] * 6
    np.testing.assert_allclose(np.exp(record.logprobs[:-1, :3]), [[0.5, 0.3, 0.1]] * 5, rtol=1e-5)
    np.testing.assert_allclose(record.logprobs[:-1, 3], EMPTY)
    np.testing.assert_allclose(np.exp(record.tail[:-1]), 0.1, atol=1e-4)
    assert record.logprobs[-1, 0] == 0, "the end is taken as certain"


def test_what_was_said_counts_once_and_in_its_rank(chat, sample):
    top = [{"token": "a", "logprob": math.log(0.6)}, {"token": "b", "logprob": math.log(0.2)}]
    within = {"token": "b", "logprob": math.log(0.2), "top_logprobs": top}
    outside = {"token": "c", "logprob": math.log(0.1), "top_logprobs": top}
    record = rank_record(sample, chat, "bc", [within, outside], 3)
    np.testing.assert_allclose(np.exp(record.logprobs[0, :2]), [0.6, 0.2], rtol=1e-5)
    assert record.logprobs[0, 2] == np.float32(EMPTY)
    np.testing.assert_allclose(np.exp(record.logprobs[1]), [0.6, 0.2, 0.1], rtol=1e-5)
    narrow = rank_record(sample, chat, "bc", [within, outside], 1)
    np.testing.assert_allclose(np.exp(narrow.tail[:2]), 0.4, rtol=1e-3)


SURE = entry(b"card", 0.9, 0.05)


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        (None, "are missing"),
        ([], "are missing"),
        ([{"token": "card", "logprob": -0.1}], "are missing"),
        ([{"token": "card", "logprob": -0.1, "top_logprobs": []}], "are missing"),
        ("logprobs", "broken"),
        ([7], "broken"),
        ([{**SURE, "top_logprobs": "none"}], "broken"),
        ([{**SURE, "top_logprobs": [{"token": "card", "logprob": None}]}], "broken"),
        ([{**SURE, "top_logprobs": [{"token": "card", "logprob": 0.5}]}], "broken"),
        ([{**SURE, "bytes": [400]}], "broken"),
        ([{**SURE, "bytes": "card"}], "broken"),
        ([{**SURE, "bytes": 10**12}], "broken"),
        ([{**SURE, "token": "\ud800", "bytes": None}], "broken"),
        ([entry(b"card", 0.9, 0.8)], "broken"),
        ([entry(b"cart", 0.9, 0.05)], "another text"),
        ([entry(b"ca", 0.9, 0.05)], "another text"),
        ([entry(b"the ", 0.9, 0.05), SURE], "another text"),
        ([entry(b"cards", 0.9, 0.05)], "another text"),
        ([SURE, entry(b" is", 0.9, 0.05), entry(b" lost", 0.9, 0.05)], "another text"),
    ],
)
def test_what_cannot_be_ranked_is_refused(chat, sample, listed, reason):
    with pytest.raises(RefusedError, match=reason):
        rank_record(sample, chat, "card", listed, 2)
    assert can_be_ranked("card", [SURE]) and not can_be_ranked("card", listed)


def test_half_a_character_is_refused(chat, sample):
    with pytest.raises(RefusedError, match="another text"):
        rank_record(sample, chat, "card\ud800", [SURE], 2)


UNKNOWN = {"token": "qqqq", "logprob": -1.0}
IN_LETTERS = [{"token": letter, "logprob": -1.0} for letter in "card"]


@pytest.mark.parametrize(
    ("logprobs", "reason"),
    [
        (None, "missing"),
        ("no", "broken"),
        ([{**SURE, "bytes": "card"}], "broken"),
        ([UNKNOWN], "universal_logit"),
        (IN_LETTERS, "universal_logit"),
        ([{"token": letter, "logprob": -1.0} for letter in "qw"], "another text"),
    ],
)
def test_what_has_no_ids_is_refused(chat, sample, logprobs, reason):
    with pytest.raises(RefusedError, match=reason):
        id_record(sample, chat, "card", logprobs, pieces_of(chat), 2)


def test_how_many_answers_are_cut_as_a_tokenizer_cuts_them(chat):
    def in_pieces(text):
        listed = chat.tokenizer.convert_ids_to_tokens(chat.ids(text))
        return [{"token": piece, "logprob": -0.1} for piece in listed]

    answers = [("card", in_pieces("card")), ("rate", in_pieces("rate")), ("card", IN_LETTERS), ("card", None)]
    assert len(in_pieces("card")) < 4 and share_with_ids(chat, answers) == 0.5 and share_with_ids(chat, []) == 0


def test_ranks_are_kept_apart_from_ids_and_come_back_from_the_store(chat, sample, tmp_path):
    def behave(text, number):
        content = [entry(b"car", 0.5, 0.3), entry(b"d", 0.9, 0.05)]
        choice = {"finish_reason": "stop", "message": {"content": "card"}, "logprobs": {"content": content}}
        return "cut" if number == 0 else (200, {}, {"choices": [choice]})

    spec = {"model": "big", "top_logprobs": 3, "max_attempts": 2}
    with Server(behave) as server:
        for asked in (1, 0):
            teacher = OpenAITextTeacher(
                OpenAIText(base_url=server.url, **spec), chat, {sample.text: CHAT.to_json()}, by_rank=True
            )
            found = capture_tokens(teacher, [sample], Store(tmp_path), Silent())
            assert found.num_asked == asked
            record = found[0]
            assert record.text == "card" and record.num_signals == 3
            np.testing.assert_allclose(np.exp(record.logprobs[0, :2]), [0.5, 0.3], atol=0.03)
        by_id = OpenAITextTeacher(teacher.spec, chat, teacher.messages)
        assert by_id.identity() != teacher.identity() and len(server.asked) == 2
