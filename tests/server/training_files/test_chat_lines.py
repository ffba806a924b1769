import base64
import json

import pytest

from potstill.server.training_files import TrainingFileError, read_chat_lines

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 20


def chat(text="hello", answer="yes", **more):
    user = {"role": "user", "content": text}
    return {"messages": [user, {"role": "assistant", "content": answer}], **more}


def jsonl(rows):
    return "\n".join(json.dumps(row) for row in rows).encode()


def picture(content=PNG, kind="png"):
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def refused(*rows):
    with pytest.raises(TrainingFileError) as caught:
        read_chat_lines(jsonl([*(chat() for _ in range(10)), *rows]))
    return caught.value


def test_examples_end_at_the_last_answer_that_counts():
    weighed = chat()
    weighed["messages"] += [
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "no", "weight": 0},
    ]
    found = read_chat_lines(jsonl([weighed, *(chat() for _ in range(9))]) + b"\n\n")
    assert len(found.examples) == 10
    assert found.examples[0].answer["content"] == "yes" and len(found.examples[0].messages) == 1


def test_tools_stay_and_our_own_key_is_read():
    form = {"response_format": {"type": "text"}}
    found = read_chat_lines(jsonl(chat(tools=[], potstill=form) for _ in range(10)))
    assert found.examples[3].extras == form and found.examples[3].line == 4


def test_too_few_examples_in_openai_s_words():
    with pytest.raises(TrainingFileError, match=r"^Training file has 7 example\(s\), but must have at least 10") as e:
        read_chat_lines(jsonl(chat() for _ in range(7)))
    assert e.value.code == "invalid_n_examples"


def test_broken_json_names_its_line():
    with pytest.raises(TrainingFileError) as caught:
        read_chat_lines(jsonl(chat() for _ in range(10)) + b'\n{"messages": 1 "x"}')
    assert "Invalid file format. Example 11 cannot be parsed. Error: line contains invalid json: Expecting ','" in str(
        caught.value
    )
    assert str(caught.value).endswith("(line 11)") and caught.value.lines == (11,)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [{"content": "x"}]}, "message 1 Discriminator 'role' is missing in value"),
        (chat(weight=1), 'contains an extra "weight".'),
        ({"prompt": "x", "completion": "y"}, "Unexpected file format, expected either prompt/completion pairs"),
        ({"messages": []}, "has no messages"),
        ([1], "is not a JSON object"),
        ({"messages": [{"role": "user", "content": "x", "weight": 1}]}, "message 1 has a weight"),
        (chat(answer=None), "neither content nor tool calls"),
        ({"messages": [{"role": "user", "content": "x"}]}, "nothing to learn"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "has the role 'judge'"),
        ({"messages": [{"role": "system", "content": [picture()]}]}, "images are allowed in messages of the user only"),
        (chat(text=[picture() for _ in range(11)]), "has 11 images; at most 10"),
        ({"input": {}, "preferred_output": [], "non_preferred_output": []}, "not using|is in the preference format"),
    ],
)
def test_lines_that_break_a_rule(row, message):
    found = refused(row)
    assert found.lines == (11,) and "Example 11" in str(found)
    assert any(part in str(found) for part in message.split("|"))


def test_all_wrong_lines_are_named():
    assert refused([1], chat(), {"messages": []}).lines == (11, 13)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (picture(kind="gif"), "invalid image format"),
        (picture(b"GIF89a"), "invalid image format"),
        (picture(PNG + b"x" * 10 * 1024**2), "image too large"),
        ({"type": "image_url", "image_url": {"url": "https://example.com/x.png"}}, "inaccessible URL"),
    ],
)
def test_pictures_that_can_t_be_used_are_skipped_and_named(part, reason):
    content = [{"type": "text", "text": "look"}, picture(), part]
    found = read_chat_lines(jsonl([*(chat() for _ in range(10)), chat(text=content)]))
    (skipped,) = found.skipped
    assert (skipped.line, skipped.index, skipped.reason) == (11, 1, reason)
    assert found.num_images == 1 and len(found.examples[10].messages[0]["content"]) == 2
