import json

import pytest

from potstill.data.prompts import Chat, PromptOptions, load_prompts
from potstill.errors import DataError


def rows(count, start=0):
    return [
        {"prompt": f"question {i} about thing {i * 7919 % 1000}", "answer": f"a{i % 3}"}
        for i in range(start, start + count)
    ]


def written(path, listed):
    path.write_text("".join(json.dumps(row) + "\n" for row in listed))
    return str(path)


def test_a_column_that_is_not_there_is_named_with_its_option(tmp_path):
    train = written(tmp_path / "train.jsonl", rows(5))
    with pytest.raises(DataError, match=r"no column 'prmpt'.* mean 'prompt'\? Name the column with --prompt"):
        load_prompts(PromptOptions(train=train, prompt="prmpt"))


def test_rows_are_split_and_blank_answers_join_the_pool(tmp_path):
    train = written(tmp_path / "train.jsonl", [*rows(40), {"prompt": "who answers this odd one?", "answer": ""}])
    data = load_prompts(PromptOptions(train=train), seed=0)
    assert len(data.train) + len(data.dev) + len(data.test) == 40
    assert [chat.prompt for chat in data.unlabelled] == ["who answers this odd one?"]
    assert data.closed_answers == ("a0", "a1", "a2")
    assert {f.code for f in data.findings} == {"held_out"}


def test_a_prompt_of_the_test_rows_teaches_nobody(tmp_path):
    train = written(tmp_path / "train.jsonl", rows(20))
    test = written(tmp_path / "test.jsonl", rows(1))
    unlabelled = written(tmp_path / "u.jsonl", [{"prompt": row["prompt"]} for row in [*rows(1), *rows(3, 100)]])
    data = load_prompts(PromptOptions(train=train, test=test, unlabelled=unlabelled))
    leaked = rows(1)[0]["prompt"]
    assert all(chat.prompt != leaked for chat in (*data.train, *data.dev, *data.unlabelled))
    assert len(data.unlabelled) == 3
    assert [f.values["count"] for f in data.findings if f.code == "prompt_leaks"] == [1, 1]


def test_chats_end_in_the_answer(tmp_path):
    chats = [
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": f"u{i}"},
                {"role": "assistant", "content": "x"},
            ]
        }
        for i in range(8)
    ]
    data = load_prompts(PromptOptions(train=written(tmp_path / "c.jsonl", chats)))
    chat = data.train[0]
    assert chat.answer == "x" and [role for role, _ in chat.messages] == ["system", "user"]


def test_a_broken_chat_names_its_line(tmp_path):
    good = {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "x"}]}
    path = written(tmp_path / "c.jsonl", [good, {"messages": [{"role": "robot", "content": "u"}]}])
    with pytest.raises(DataError, match=r"c\.jsonl, line 2"):
        load_prompts(PromptOptions(train=path))


def test_equal_chats_are_one_row_to_the_store():
    assert Chat((("user", "a"),), "x").digest() == Chat((("user", "a"),), "y").digest()
    assert Chat((("user", "a"),)).digest() != Chat((("system", "a"),)).digest()
