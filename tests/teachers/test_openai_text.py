import math
from dataclasses import replace

import numpy as np
import pytest

from potstill.data.prompts import Chat
from potstill.errors import BudgetError, ConfigurationError, DataError
from potstill.signals import Store
from potstill.signals.token_capture import capture_tokens
from potstill.students.causal.chat import ChatTokens
from potstill.teachers.causal_lm import packaged_gguf
from potstill.teachers.openai_text import OpenAIText, OpenAITextTeacher, RecordedText, RecordedTextTeacher
from potstill.types import Silent
from tests.lm import tiny_tokenizer
from tests.teachers.server import Server

CHATS = [Chat((("user", text),)) for text in ("where is my card", "what is the rate", "is there rain")]


@pytest.fixture(scope="module")
def chat():
    return ChatTokens(tiny_tokenizer())


def answered(text, listed=None, finish="stop"):
    choice = {"finish_reason": finish, "message": {"role": "assistant", "content": text}}
    if listed is not None:
        choice["logprobs"] = {"content": listed}
    body = {"model": "big", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
    return 200, {}, body


def teacher(server, chat, **options):
    spec = OpenAIText(model="big", base_url=server.url, concurrency=2, **options)
    return OpenAITextTeacher(spec, chat, {chat.text_of(c.to_json()): c.to_json() for c in CHATS})


def samples(chat):
    return [chat.sample(c.to_json()) for c in CHATS]


def test_texts_are_kept_and_not_asked_for_again(chat, tmp_path):
    with Server(lambda text, number: answered(f" about {text}\n")) as server:
        for asked in (3, 0):
            found = capture_tokens(teacher(server, chat), samples(chat), Store(tmp_path), Silent())
            assert [record.text for record in found] == [f"about {c.prompt}" for c in CHATS]
            assert found.num_asked == asked and found.form.kind == "text"
    assert len(server.asked) == 3


def test_alternatives_are_those_of_the_base_and_the_rest_is_the_tail(chat, tmp_path):
    ids = chat.ids(" card")
    pieces = [chat.tokenizer.decode([i]) for i in ids]
    other = chat.tokenizer.decode(chat.ids("rate")[:1])
    listed = [
        {
            "token": piece,
            "logprob": math.log(0.6),
            "top_logprobs": [
                {"token": piece, "logprob": math.log(0.6)},
                {"token": other, "logprob": math.log(0.3)},
                {"token": "no such token at all", "logprob": math.log(0.05)},
            ],
        }
        for piece in pieces
    ]
    with Server(lambda text, number: answered(" card", listed)) as server:
        asked = teacher(server, chat, top_logprobs=4)
        record = capture_tokens(asked, samples(chat)[:1], Store(tmp_path), Silent())[0]
    assert record.ids[record.first :].tolist() == [*ids, chat.end]
    assert record.indices[0, :2].tolist() == [ids[0], chat.ids("rate")[0]]
    np.testing.assert_allclose(np.exp(record.logprobs[:-1, :2]), [[0.6, 0.3]] * len(ids), atol=0.03)
    np.testing.assert_allclose(np.exp(record.tail[:-1]), 0.1, atol=0.05)
    assert record.indices[-1, 0] == chat.end and math.exp(record.logprobs[-1, 0]) > 0.95


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answered(""), "an empty answer"),
        (answered("card", finish="length"), "finish_reason length"),
        ((200, {}, {"choices": []}), "no chat completion"),
        (answered("card", []), "log-probabilities are missing"),
        (answered("card", [{"token": "qqqq", "logprob": -1.0}]), "of another tokenizer"),
        (answered("card", "logprobs"), "broken logprobs"),
        (answered("card", [{"token": "c", "logprob": 3.0}]), "broken logprobs"),
    ],
)
def test_what_cannot_be_used_is_refused_and_counted(chat, tmp_path, reply, reason):
    with Server(lambda text, number: reply) as server:
        found = capture_tokens(teacher(server, chat, top_logprobs=2), samples(chat), Store(tmp_path), Silent())
    assert list(found) == [None] * 3
    ((said, count),) = found.num_refused.items()
    assert reason in said and count == 3


def test_a_budget_stops_before_it_is_passed(chat, tmp_path):
    with Server(lambda text, number: answered("card")) as server, pytest.raises(BudgetError):
        capture_tokens(teacher(server, chat, max_calls=2), samples(chat), Store(tmp_path), Silent())
    assert len(server.asked) == 2


def test_instructions_go_first(chat):
    spec = OpenAIText(model="big", base_url="http://127.0.0.1/v1", instructions="Be short.")
    one, other = (OpenAITextTeacher(s, chat, {}) for s in (spec, OpenAIText(model="big", base_url=spec.base_url)))
    assert one.identity() != other.identity()
    with pytest.raises(ConfigurationError, match="top_logprobs"):
        OpenAIText(model="big", base_url="http://127.0.0.1/v1", top_logprobs=21)


def test_recorded_answers_are_looked_up(chat, tmp_path):
    chats = [Chat(c.messages, columns={"said": text}) for c, text in zip(CHATS, ("card", None, " rain "), strict=True)]
    found = capture_tokens(
        RecordedTextTeacher(RecordedText(column="said"), chat, chats), samples(chat), Store(tmp_path), Silent()
    )
    assert [record.text if record else None for record in found] == ["card", None, "rain"]
    assert found.num_refused == {"no recorded answer": 1}
    with pytest.raises(DataError, match="'other'"):
        list(RecordedTextTeacher(RecordedText(column="other"), chat, chats).answer_tokens(samples(chat)))


def test_recorded_log_probabilities_are_kept_by_id_or_by_rank(chat, tmp_path):
    def sure(text):
        piece = chat.tokenizer.convert_ids_to_tokens(chat.ids(text)[0])
        listed = [{"token": piece, "logprob": math.log(0.7)}, {"token": "zz", "logprob": math.log(0.2)}]
        return {"content": [{**listed[0], "top_logprobs": listed}]}

    columns = ({"said": "a", "sure": sure("a")}, {"said": "b"}, {"said": "c", "sure": sure("b")})
    chats = [Chat(c.messages, columns=listed) for c, listed in zip(CHATS, columns, strict=True)]
    spec = RecordedText(column="said", logprobs="sure")
    kept = {}
    for by_rank in (False, True):
        teacher = RecordedTextTeacher(spec, chat, chats, by_rank=by_rank)
        found = capture_tokens(teacher, samples(chat), Store(tmp_path), Silent())
        assert [record is not None for record in found] == [True, False, False]
        assert sorted(reason[:34] for reason in found.num_refused) == [
            "log-probabilities are missing: the",
            "the log-probabilities are of anoth",
        ]
        kept[by_rank] = found[0]
    assert kept[False].indices[0, 0] == chat.ids("a")[0] and kept[False].text == ""
    assert kept[True].indices[0].tolist() == list(range(20)) and kept[True].text == "a"
    np.testing.assert_allclose(np.exp(kept[True].logprobs[0, :2]), [0.7, 0.2], atol=0.03)
    texts = capture_tokens(teacher.in_text(), samples(chat), Store(tmp_path), Silent())
    assert [record.text for record in texts] == ["a", "b", "c"]


@pytest.mark.slow
def test_llama_cpp_as_the_server(tmp_path):
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    from potstill.errors import MissingExtraError
    from potstill.runtime.generating.llama import open_llama
    from potstill.students.causal import load_causal_lm

    try:
        path = packaged_gguf()
    except MissingExtraError as error:
        pytest.skip(str(error))
    tokens = ChatTokens(load_causal_lm(path)[1])
    server = open_llama(path, context_length=512, threads=1)
    # Without a system turn it may not find an end.
    spec = OpenAIText(
        model="any",
        base_url=f"{server.listening_address}/v1",
        instructions="Answer in one word.",
        top_logprobs=8,
        max_new_tokens=60,
    )
    question = Chat((("user", "What is the capital of France?"),))
    asked = OpenAITextTeacher(spec, tokens, {tokens.text_of(question.to_json()): question.to_json()})
    found = capture_tokens(asked, [tokens.sample(question.to_json())], Store(tmp_path), Silent())
    record = found[0]
    assert record is not None, found.num_refused
    assert "Paris" in tokens.text(record.ids[record.first :].tolist())
    assert (record.indices[:-1, 0] == record.ids[record.first : -1]).mean() > 0.9, "greedy says the likeliest"
    by_rank = replace(asked, by_rank=True)
    ranked = capture_tokens(by_rank, [tokens.sample(question.to_json())], Store(tmp_path), Silent())[0]
    assert ranked.text == tokens.text(record.ids[record.first :].tolist())
    np.testing.assert_allclose(ranked.logprobs, record.logprobs, atol=0.2)
    np.testing.assert_array_equal(ranked.ends, record.ends)
