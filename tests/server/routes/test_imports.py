import json

import openai
import pytest

from tests.server.routes.test_chat_completions import ask
from tests.server.teacher import answer


def send(client, lines, **query):
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    options = {"params": query, "headers": {"content-type": "application/x-ndjson"}}
    return client.post("/potstill/imports", content=body, options=options, cast_to=object)


def stored(i, created=1_700_000_000, **more):
    named = {"id": f"chatcmpl-old{i}", "created": created, "model": "gpt-4o", "temperature": 0.5, **more}
    return {"messages": [{"role": "user", "content": f"red {i}"}], "completion": {**answer("red"), **named}}


def test_stored_completions_keep_their_names_and_times(server, client):
    # All of one second: each has a place of its own.
    lines = [stored(i, metadata={"run": str(i % 2)}) for i in range(1200)]
    found = send(client, lines)
    assert (found["num_lines"], found["num_added"], found["num_known"]) == (1200, 1200, 0)
    again = send(client, [*lines, stored("new")])
    assert (again["num_added"], again["num_known"], again["num_rejected"]) == (1, 1200, 0)
    one = client.chat.completions.retrieve("chatcmpl-old7")
    assert one.created == 1_700_000_000 and one.model == "gpt-4o" and one.metadata == {"run": "1"}
    assert one.choices[0].message.content == "red" and one.model_extra["temperature"] == 0.5
    assert client.chat.completions.messages.list("chatcmpl-old7").data[0].content == "red 7"
    page = client.chat.completions.list(metadata={"run": "1"}, limit=100)
    assert sum(1 for _ in page) == 600
    other = server.client(server.new_key("other"))
    assert not other.chat.completions.list().data
    assert send(other, [stored(1)])["num_added"] == 1


def test_fine_tuning_lines_become_what_their_model_said(client):
    line = {"messages": [{"role": "user", "content": "sky?"}, {"role": "assistant", "content": "blue"}]}
    assert send(client, [line, line], model="gpt-4o", **{"metadata[from]": "tuning"})["num_added"] == 1
    assert send(client, [line], model="gpt-4o")["num_known"] == 1
    (found,) = client.chat.completions.list(metadata={"from": "tuning"})
    assert found.choices[0].message.content == "blue"
    made = client.post("/potstill/datasets", body={}, cast_to=object)
    (written,) = client.files.content(made["file_id"]).read().splitlines()
    assert json.loads(written)["messages"] == line["messages"]


def test_bad_lines_are_named_and_the_others_kept(server, client):
    wrong = [
        b"{",
        b'{"messages": 3}',
        {"messages": [{"role": "user", "content": "x"}]},
        stored(1, id=""),
        stored(2, created=-5),
        stored(3, created=2**40),
        stored(4, choices=[]),
        stored(5, metadata={"k": 7}),
        {**stored(6), "messages": []},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]},
    ]
    found = send(client, [*wrong, b"", stored(7)])
    assert (found["num_lines"], found["num_added"], found["num_rejected"]) == (11, 1, 10)
    assert [each["line"] for each in found["rejected"]] == list(range(1, 11))
    assert "which model" in found["rejected"][9]["reason"]
    refusing = server.client(server.new_key("default", may_store=False))
    with pytest.raises(openai.PermissionDeniedError):
        send(refusing, [stored(8)])


def test_large_requests_and_retention(server, client):
    large = stored(1)
    large["messages"][0]["content"] = "x" * 100_000
    keeping = server.client(server.new_key("brief", retention_s=3600))
    assert send(keeping, [large])["num_added"] == 1
    assert len(keeping.chat.completions.messages.list("chatcmpl-old1").data[0].content) == 100_000
    assert ask(client, "red", store=True).id
