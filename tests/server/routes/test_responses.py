import json

import openai
import pytest

SCHEMA = {
    "type": "json_schema",
    "name": "colour",
    "strict": True,
    "schema": {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]},
}
PICTURE = "data:image/png;base64,AAAA"


def test_a_response_is_a_stored_completion(client, teacher):
    made = client.responses.create(
        model="big",
        instructions="Name the colour.",
        input="a red ball",
        text={"format": SCHEMA},
        max_output_tokens=50,
        metadata={"a": "b"},
    )
    assert made.status == "completed" and json.loads(made.output_text) == {"colour": "red"}
    asked = teacher.bodies[-1]
    assert asked["messages"] == [
        {"role": "system", "content": "Name the colour."},
        {"role": "user", "content": "a red ball"},
    ]
    form = asked["response_format"]["json_schema"]
    assert form == {"name": "colour", "strict": True, "schema": SCHEMA["schema"]} and "response" not in asked
    assert asked["max_completion_tokens"] == 50 and "store" not in asked and "metadata" not in asked
    assert (made.usage.input_tokens, made.usage.input_tokens_details.cached_tokens) == (1200, 1024)
    assert client.responses.retrieve(made.id).to_dict() == made.to_dict()
    assert [row.metadata for row in client.chat.completions.list(metadata={"a": "b"})] == [{"a": "b"}]
    assert client.responses.delete(made.id) is None
    for method in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            method(made.id)
    assert list(client.chat.completions.list()) == []


def test_a_response_goes_on_from_another(server, client, teacher):
    picture = {"type": "input_image", "image_url": PICTURE, "detail": "low"}
    content = [{"type": "input_text", "text": "blue?"}, picture]
    first = client.responses.create(model="big", instructions="One.", input=[{"role": "user", "content": content}])
    assert teacher.bodies[-1]["messages"][1]["content"][1]["image_url"] == {"url": PICTURE, "detail": "low"}
    second = client.responses.create(
        model="big", instructions="Two.", input="red?", previous_response_id=first.id, text={"format": {"type": "text"}}
    )
    assert second.previous_response_id == first.id and second.instructions == "Two."
    said = [(message["role"], message["content"]) for message in teacher.bodies[-1]["messages"]]
    assert said[0] == ("system", "Two.") and said[2:] == [("assistant", "blue"), ("user", "red?")]
    items = list(client.responses.input_items.list(second.id, order="asc"))
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert items[0].content[1].image_url == PICTURE and items[1].content[0].text == "blue"
    after = list(client.responses.input_items.list(second.id, after=items[2].id))
    assert [item.id for item in after] == [items[1].id, items[0].id]
    other = server.client(server.new_key("other"))
    with pytest.raises(openai.NotFoundError):
        other.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        other.responses.create(model="big", input="red", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"


def test_what_is_not_kept_and_what_is_not_served(server, client):
    made = client.responses.create(model="big", input="red", store=False, metadata={"a": "b"})
    assert made.metadata == {"a": "b"} and made.to_dict()["store"] is False
    plain = client.chat.completions.create(model="big", messages=[{"role": "user", "content": "red"}], store=True)
    silent = server.client(server.new_key("default", may_store=False))
    unkept = silent.responses.create(model="big", input="red")
    for id in (made.id, unkept.id, plain.id, plain.id.replace("chatcmpl-", "resp_")):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(id)
    for wrong in (
        {"tools": [{"type": "web_search"}]},
        {"background": True},
        {"input": []},
        {"input": [{"type": "function_call_output", "call_id": "a", "output": "b"}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-0"}]}]},
        {"text": {"format": {"type": "json_schema", "name": "a"}}},
    ):
        with pytest.raises(openai.BadRequestError):
            client.responses.create(**{"model": "big", "input": "red", **wrong})


def test_a_streamed_response(client):
    with client.responses.stream(model="big", input="hello", metadata={"a": "b"}) as stream:
        kinds = [event.type for event in stream]
        made = stream.get_final_response()
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert made.output_text == "안녕" and made.usage.input_tokens == 1200
    assert client.responses.retrieve(made.id).output_text == "안녕"
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="big", input="status 400", stream=True)
    events = list(client.responses.create(model="big", input="dies", stream=True))
    assert events[-1].type == "error" and events[-1].code.startswith("teacher_")
