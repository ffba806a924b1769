import json
import math
from dataclasses import replace

import pytest

from potstill.errors import DataError
from potstill.server.compiling import NotClosedError, Task, compile_chats, num_leaks, read_rows
from potstill.server.compiling.free_text import read_written
from potstill.server.training_files import Example

SYSTEM = {"role": "system", "content": "Classify."}
WORDS = ["card", "loan", "travel"]


def example(line, text, answer, *before, schema=None):
    content = text if isinstance(text, list) else str(text)
    extras = {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}} if schema else {}
    return Example(
        line=line,
        messages=(*before, {"role": "user", "content": content}),
        answer={"role": "assistant", "content": answer},
        extras=extras,
    )


def chats(write, num=30, text="my {w} number {i}"):
    return [example(i + 1, text.format(w=WORDS[i % 3], i=i), write(WORDS[i % 3], i), SYSTEM) for i in range(num)]


def test_texts_of_a_small_set():
    found = compile_chats(chats(lambda word, i: word))
    (field,) = found.task.answer.fields
    assert field.name == "answer" and list(field.values) == WORDS
    assert found.rows[4].input == "my loan number 4" and found.rows[4].labels == {"answer": "loan"}
    assert found.task.answer.write({"answer": "loan"}) == "loan"
    assert any("text classifier" in sentence for sentence in found.sentences())


@pytest.mark.parametrize("dump", [{}, {"separators": (",", ":")}, {"indent": 2}])
def test_objects_are_written_as_the_teacher_wrote_them(dump):
    def write(word, i):
        return json.dumps({"version": 1, "intent": {"name": word, "urgent": i % 2 == 0}, "n": i % 4}, **dump)

    found = compile_chats(chats(write))
    task = Task.from_json(json.loads(json.dumps(found.task.to_json())))
    assert [field.name for field in task.answer.fields] == ["intent.name", "intent.urgent", "n"]
    for row, source in zip(found.rows, chats(write), strict=True):
        assert task.answer.write(row.labels) == source.answer["content"]


def test_values_of_different_types_stay_apart():
    values = ["true", True, "1", 1, None, "null", "", "card"]
    rows = [example(i, f"row {i}", json.dumps({"a": values[i % 8]}), SYSTEM) for i in range(32)]
    found = compile_chats(rows)
    assert len(found.task.answer.fields[0].values) == 8
    assert [found.task.answer.write(row.labels) for row in found.rows] == [r.answer["content"] for r in rows]


def test_an_enum_of_the_schema_is_closed_however_rare_its_values():
    schema = {"type": "object", "properties": {"a": {"enum": [f"v{i}" for i in range(30)]}}}
    rows = [example(i, f"row {i}", json.dumps({"a": f"v{i}"}), schema=schema) for i in range(30)]
    assert len(compile_chats(rows).task.answer.fields[0].values) == 30
    bare = [example(i, f"row {i}", json.dumps({"a": f"v{i}"})) for i in range(30)]
    with pytest.raises(NotClosedError, match="a student that writes"):
        compile_chats(bare)


@pytest.mark.parametrize(
    "write",
    [
        lambda word, i: f"Dear customer {i}, thank you.",
        lambda word, i: json.dumps({"intent": word, "reply": f"free text {i}"}),
        lambda word, i: json.dumps({word: 1}),
        lambda word, i: "always the same",
    ],
)
def test_free_text_is_refused_with_the_reason(write):
    with pytest.raises(NotClosedError):
        compile_chats(chats(write))


def test_a_few_refusals_are_left_out_and_named():
    rows = chats(lambda word, i: json.dumps({"intent": word}) if i != 7 else "I can't help with that.")
    found = compile_chats(rows)
    assert found.strange_lines == (8,) and len(found.rows) == 29


def test_templates_around_the_changing_part_are_left_out():
    shots = [SYSTEM, {"role": "user", "content": "an example"}, {"role": "assistant", "content": "card"}]
    end = {"role": "user", "content": "Answer with one word."}
    rows = []
    for i in range(20):
        text = f"Customer message:\n<<{WORDS[i % 2]} {i}>>\nWhich intent is it?"
        messages = (*shots, {"role": "user", "content": text}, end)
        answer = {"role": "assistant", "content": WORDS[i % 2]}
        rows.append(Example(line=i, messages=messages, answer=answer, extras={}))
    found = compile_chats(rows)
    prompt = found.task.prompt
    assert len(prompt.first) == 3 and len(prompt.last) == 1
    assert found.rows[3].input == "loan 3" and found.rows[3].fits
    assert prompt.take([*shots, {"role": "user", "content": rows[3].messages[3]["content"]}, end]) == ("loan 3", True)
    text, fits = prompt.take([{"role": "user", "content": "where is my card?"}])
    assert text == "where is my card?" and not fits
    other = [{"role": "developer", "content": "New rules."}, {"role": "user", "content": "where is my card?"}]
    assert prompt.take(other) == ("where is my card?", False)
    with pytest.raises(DataError, match="holds no text"):
        prompt.take([*shots, end])


def test_conversations_become_one_text():
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "how can I help?"}]
    rows = [example(i, f"my {WORDS[i % 3]}", WORDS[i % 3], SYSTEM, *(turns if i % 2 else [])) for i in range(30)]
    found = compile_chats(rows)
    assert found.rows[1].input == "user: hi\nassistant: how can I help?\nuser: my loan"
    assert found.rows[0].input == "my card"


def picture(i):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{i}"}}


def test_pictures_make_a_student_of_images():
    ask = {"type": "text", "text": "What is it?"}
    rows = [example(i, [ask, picture(i)], WORDS[i % 2], SYSTEM) for i in range(20)]
    found = compile_chats(rows)
    assert found.task.prompt.modality == "image" and found.rows[3].input == picture(3)["image_url"]
    mixed = [example(i, [{"type": "text", "text": f"q {i}"}, picture(i)], WORDS[i % 2]) for i in range(20)]
    with pytest.raises(DataError, match="both text and image"):
        compile_chats(mixed)


def test_duplicates_conflicts_and_leaks_are_counted():
    rows = chats(lambda word, i: word)
    again = [example(31, "My card,  number 0!", "card", SYSTEM), example(32, "my card number 0", "loan", SYSTEM)]
    found = compile_chats([*rows, *again])
    assert found.num_duplicates == 1 and found.conflicts == ((1, 32),)
    held, strange = read_rows(found.task, [again[0], example(2, "new", "zebra", SYSTEM)])
    assert num_leaks(found.rows, held) == 1 and strange == (2,)


def test_free_text_becomes_rows_once_each_and_calls_of_tools_are_left_out():
    rows = [example(1, "one", "Dear one"), example(2, "one", "Dear one"), example(3, "two", "Dear two")]
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]}
    rows.append(replace(rows[0], line=4, answer=call))
    found, strange = read_written(rows)
    assert [(row.line, row.answer) for row in found] == [(1, "Dear one"), (3, "Dear two")] and strange == (4,)
    with pytest.raises(DataError, match="learns from chats of text"):
        read_written(rows[3:])


def with_tokens(made, *tokens):
    """An example whose answer was written in these tokens: [(text, probability), alternatives...] each."""
    content = [
        {
            "token": own,
            "logprob": math.log(p),
            "top_logprobs": [{"token": t, "logprob": math.log(q)} for t, q in others],
        }
        for (own, p), *others in tokens
    ]
    return replace(made, extras={**made.extras, "logprobs": {"content": content}})


def test_log_probabilities_of_a_value_become_soft_labels():
    rows = chats(lambda word, i: json.dumps({"intent": word, "urgent": i % 2 == 0}))
    start, end = ('{"intent": "', 1.0), ('"', 1.0)
    rows[0] = with_tokens(
        rows[0],
        [start],
        [("card", 0.7), ("loan", 0.2)],
        [end],
        [(', "urgent": ', 1.0)],
        [("true", 0.6), ("false", 0.4)],
        [("}", 1.0)],
    )
    found = compile_chats(rows)
    assert found.rows[0].soft["intent"] == pytest.approx(
        {"card": 0.7 + 0.1 / 3, "loan": 0.2 + 0.1 / 3, "travel": 0.1 / 3}
    )
    assert found.rows[0].soft["urgent"] == pytest.approx({"true": 0.6, "false": 0.4})
    assert not found.rows[1].soft
    assert "1 of 30 row(s) have soft labels, from their answers' log-probabilities" in found.sentences()


def test_log_probabilities_of_a_text_become_soft_labels():
    rows = chats(lambda word, i: word)
    rows[1] = with_tokens(rows[1], [("lo", 0.9), ("tra", 0.1)], [("an", 1.0)])
    assert compile_chats(rows).rows[1].soft["answer"] == pytest.approx({"card": 0, "loan": 0.9, "travel": 0.1})


def test_log_probabilities_that_can_t_be_followed_leave_the_label():
    rows = chats(lambda word, i: json.dumps({"intent": word, "old": {"intent": word}}))
    rows[0] = with_tokens(rows[0], [(rows[0].answer["content"], 1.0)])  # the key stands twice
    rows[1] = with_tokens(rows[1], [("something else", 1.0)])
    rows[2] = replace(rows[2], extras={"logprobs": "broken"})
    assert not any(row.soft for row in compile_chats(rows).rows)
