import base64
import json
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.server.teacher import SECRET

COLOURS = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "schema": {"type": "object", "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}}},
    },
}


def ask(client, text, model="big", **options):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


def test_asked_stored_found_changed_deleted(client, teacher):
    # The first answer builds the client's types, which takes seconds, and minutes when threads do it all at once.
    ask(client, "first")
    with ThreadPoolExecutor(16) as pool:
        made = list(
            pool.map(
                lambda i: ask(
                    client, f"red {i}", store=True, metadata={"run": "a b", "part": str(i % 2)}, response_format=COLOURS
                ),
                range(50),
            )
        )
    ask(client, "not kept")
    assert json.loads(made[0].choices[0].message.content) == {"colour": "red"}
    assert (made[0].model, made[0].metadata) == ("big", {"run": "a b", "part": "0"})
    assert made[0].usage.total_tokens == 1203
    assert made[0].usage.prompt_tokens_details.cached_tokens == 1024
    assert teacher.bodies[-1]["model"] == "big-2026" and "store" not in teacher.bodies[-2]
    assert teacher.headers[-1]["authorization"] == f"Bearer {SECRET}"

    stored = client.chat.completions
    ids = {completion.id for completion in made}
    assert {found.id for found in stored.list(limit=7)} == ids
    assert [found.id for found in stored.list()] == [found.id for found in stored.list(order="desc")][::-1]
    assert len(list(stored.list(metadata={"part": "1", "run": "a b"}))) == 25
    assert len(list(stored.list(model="big", metadata={"part": "0"}, limit=10))) == 25
    assert stored.list(metadata={"part": "2"}).data == stored.list(model="small").data == []
    one = stored.retrieve(made[0].id)
    assert one.model_dump(exclude_unset=True)["response_format"] == COLOURS
    assert one.choices == made[0].choices

    assert stored.update(one.id, metadata={"new": "x"}).metadata == {"new": "x"}
    assert [found.id for found in stored.list(metadata={"new": "x"})] == [one.id]
    assert len(list(stored.list(metadata={"run": "a b"}))) == 49
    assert stored.delete(one.id).deleted
    for method in (stored.retrieve, stored.delete, stored.messages.list):
        with pytest.raises(openai.NotFoundError):
            method(one.id)
    assert stored.list(metadata={"new": "x"}).data == []


def test_filters_of_dates_and_text(client):
    made = ask(client, 'a "quoted"\nred 빨강', store=True)
    ask(client, "blue", store=True)
    stored = client.chat.completions
    for query, count in (
        ({"text": '"quoted"\nred'}, 1),
        ({"text": "빨강"}, 1),
        ({"text": "nowhere%"}, 0),
        ({"created_after": made.created - 1}, 2),
        ({"created_after": made.created + 100}, 0),
        ({"created_before": made.created}, 0),
        ({"created_before": made.created + 100, "created_after": made.created - 100}, 2),
    ):
        assert len(stored.list(extra_query=query).data) == count, query
    with pytest.raises(openai.BadRequestError, match="created_after"):
        stored.list(extra_query={"created_after": "yesterday"})


def test_messages_that_were_asked(server, client):
    picture = "data:image/png;base64," + base64.b64encode(bytes(100_000)).decode()
    parts = [{"type": "text", "text": "red?"}, {"type": "image_url", "image_url": {"url": picture}}]
    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": parts}]
    made = client.chat.completions.create(model="big", messages=messages, store=True)
    found = list(client.chat.completions.messages.list(made.id, limit=1))
    assert [message.id for message in found] == [f"{made.id}-0", f"{made.id}-1"]
    assert found[0].content == "be short" and found[0].content_parts is None
    assert found[1].content_parts[1].image_url.url == picture
    assert [m.id for m in client.chat.completions.messages.list(made.id, order="desc")] == [m.id for m in found][::-1]
    blobs = [path for path in server.services.blobs.root.rglob("*") if path.is_file()]
    assert len(blobs) == 1
    client.chat.completions.delete(made.id)
    assert not blobs[0].exists()


@pytest.mark.parametrize("include_usage", [False, True])
def test_streamed_and_stored(client, include_usage):
    options = {"stream_options": {"include_usage": True}} if include_usage else {}
    chunks = list(ask(client, "hello", stream=True, store=True, metadata={"s": "1"}, **options))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "안녕"
    assert {c.model for c in chunks} == {"big"} and len({c.id for c in chunks}) == 1
    assert (chunks[-1].usage is not None) == include_usage
    one = client.chat.completions.retrieve(chunks[0].id)
    assert one.choices[0].message.content == "안녕"
    assert one.choices[0].finish_reason == "stop"
    assert one.usage.prompt_tokens_details.cached_tokens == 1024
    assert one.metadata == {"s": "1"}


def test_streamed_tool_calls_are_put_together(client):
    chunks = list(ask(client, "tools", stream=True, store=True))
    one = client.chat.completions.retrieve(chunks[0].id)
    assert one.choices[0].finish_reason == "tool_calls"
    assert one.choices[0].message.tool_calls[0].function.arguments == '{"a":1}'


def test_a_stream_that_dies_is_an_error_and_is_not_stored(client):
    with pytest.raises(openai.APIError, match="hung up"):
        list(ask(client, "dies", stream=True, store=True))
    assert client.chat.completions.list().data == []


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("status 400", 400, "c"),
        ("status 429", 429, "c"),
        ("status 401", 502, "teacher_refused"),
        ("status 500", 502, "teacher_failed"),
        ("status 404", 404, "model_not_found"),
        ("status 302", 502, "teacher_failed"),
        ("html", 502, "teacher_answer_invalid"),
        ("odd", 502, "teacher_answer_invalid"),
        ("hangup", 502, "teacher_unreachable"),
        ("slow", 504, "teacher_timeout"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_troubles_of_a_teacher(client, text, status, code, stream):
    if stream and text in ("html", "odd", "hangup"):
        pytest.skip("a stream has its own troubles")
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, text, store=True, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert SECRET not in str(caught.value)
    assert client.chat.completions.list().data == []
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"
    if code == "teacher_refused":
        assert caught.value.response.headers["x-should-retry"] == "false"


def test_a_teacher_that_is_gone(client):
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, "red", model="gone")
    assert caught.value.code == "teacher_unreachable"


@pytest.mark.parametrize(
    ("options", "message", "param"),
    [
        ({"metadata": {"a": "b"}}, "The 'metadata' parameter is only allowed when 'store' is enabled.", "metadata"),
        ({"store": True, "metadata": {str(i): "" for i in range(17)}}, "at most 16 properties", "metadata"),
        ({"store": True, "metadata": {"k" * 65: ""}}, "at most 64 characters", "metadata"),
        ({"store": True, "metadata": {"k": "v" * 513}}, "maximum length 512", "metadata.k"),
        ({"store": True, "metadata": {"k": 1}}, "expected a string", "metadata.k"),
        ({"store": "yes"}, "Expected `bool | null`", "store"),
        ({"messages": []}, "empty array", "messages"),
    ],
)
def test_requests_that_break_a_rule(client, options, message, param):
    body = {"model": "big", "messages": [{"role": "user", "content": "red"}], **options}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**body)
    assert message in str(caught.value)
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, "red", model="nobody")
    assert caught.value.code == "model_not_found"


def test_a_key_that_keeps_nothing(server, client):
    quiet = server.client(server.new_key("default", may_store=False))
    assert ask(quiet, "red", store=True, metadata={"a": "b"}).choices
    assert list(ask(quiet, "red", store=True, stream=True))
    assert client.chat.completions.list().data == []
