import json

import openai
import pytest

from tests.server.routes.test_chat_completions import ask
from tests.server.test_access import ask as send


def make(client, **body):
    return client.post("/potstill/datasets", body=body, cast_to=object)


def test_a_training_file_from_what_was_stored(client):
    for text in ("red one", "red one", "blue two", "Red  ONE!", "red three"):
        ask(client, text, store=True, metadata={"use": "x"}, tools=[{"type": "function", "function": {"name": "f"}}])
    ask(client, "red four", store=True, metadata={"use": "y"})
    held_out = json.dumps({"messages": [{"role": "user", "content": "Blue, two"}]}).encode()
    file = client.files.create(file=("h.jsonl", held_out), purpose="fine-tune")
    found = make(client, filter={"model": "big", "metadata": {"use": "x"}}, held_out_file=file.id)
    assert (found["num_matched"], found["num_rows"], found["teachers"]) == (5, 3, {"big": 3})
    assert found["duplicates"]["count"] == found["leaks"]["count"] == 1
    assert found["conflicts"]["count"] == 0
    lines = [json.loads(line) for line in client.files.content(found["file_id"]).read().splitlines()]
    assert [line["messages"][0]["content"] for line in lines] == ["red one", "Red  ONE!", "red three"]
    assert lines[0]["messages"][1] == {"role": "assistant", "content": "red"}
    assert lines[0]["tools"][0]["function"]["name"] == "f"


def test_conflicts_and_pages(server, client, teacher, monkeypatch):
    monkeypatch.setattr("potstill.server.datasets.PAGE", 3)
    for number in range(8):
        ask(client, f"red {number}", store=True)
    made = ask(client, "red 1", store=True)
    ask(client, "red 1", store=True, response_format={"type": "json_object"})
    found = make(client)
    assert found["num_matched"] == 10 and found["num_rows"] == 9
    assert found["duplicates"]["examples"][0]["id"] == made.id
    assert found["conflicts"]["count"] == 1


def test_filters_that_find_nothing_or_are_none(server, client):
    with pytest.raises(openai.BadRequestError, match="found 0 stored"):
        make(client, filter={"model": "nobody"})
    with pytest.raises(openai.BadRequestError, match="unknown field `models`"):
        make(client, filter={"models": "big"})
    with pytest.raises(openai.NotFoundError):
        make(client, held_out_file="file-0")


def test_keys_are_made_shown_once_and_revoked(server, client):
    made = client.post("/potstill/keys", body={"project": "p2", "name": "ci", "retention_s": 60}, cast_to=object)
    assert send(server, "GET", "/v1/files", made["key"]).status_code == 200
    listed = client.get("/potstill/keys", cast_to=object)["data"]
    hint = next(row["hint"] for row in listed if row["id"] == made["id"])
    assert made["key"] not in json.dumps(listed) and made["key"].endswith(hint)
    assert send(server, "GET", "/v1/potstill/keys", made["key"]).status_code == 403
    client.delete(f"/potstill/keys/{made['id']}", cast_to=object)
    assert send(server, "GET", "/v1/files", made["key"]).status_code == 401
    for body in ({"project": "../x", "name": "a"}, {"project": "p"}, {"project": "p", "name": "a", "retention_s": 0}):
        assert send(server, "POST", "/v1/potstill/keys", server.api_key, json=body).status_code == 400


def test_log_probabilities_travel_with_the_answer(client):
    ask(client, "red sure", store=True, logprobs=True, top_logprobs=2)
    lines = client.files.content(make(client)["file_id"]).read().splitlines()
    (line,) = [json.loads(line) for line in lines]
    others = [{"token": "red", "logprob": -0.25}, {"token": "blue", "logprob": -1.5}]
    content = [{"token": "red", "logprob": -0.25, "top_logprobs": others}]
    assert line["potstill"] == {"logprobs": {"content": content}}
