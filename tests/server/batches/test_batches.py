import json
import time

import openai
import pytest

from potstill.server import answerers
from potstill.server.batches import lines as batch_lines
from potstill.server.batches.lines import read_lines
from potstill.server.settings import TeacherSettings
from tests.server.running import running

URL = "/v1/chat/completions"


def line(id, content, **body):
    asked = {"model": "big", "messages": [{"role": "user", "content": content}], **body}
    return {"custom_id": id, "method": "POST", "url": URL, "body": asked}


def upload(client, lines, purpose="batch"):
    content = b"\n".join(json.dumps(item).encode() for item in lines)
    return client.files.create(file=("in.jsonl", content), purpose=purpose).id


def create(client, lines, **more):
    return client.batches.create(input_file_id=upload(client, lines), endpoint=URL, completion_window="24h", **more)


def wait(client, made):
    for _ in range(400):
        found = client.batches.retrieve(made.id)
        if found.status in ("completed", "failed", "cancelled", "expired"):
            return found
        time.sleep(0.05)
    raise AssertionError(found.status)


def content(client, file):
    return [json.loads(item) for item in client.files.content(file).text.splitlines()]


def test_a_file_of_requests_becomes_a_file_of_answers(client):
    lines = [line(f"row-{i}", f"{colour} {i}") for i, colour in enumerate(["red", "blue"] * 5)]
    lines[3] = line("kept", "red", store=True, metadata={"from": "batch"})
    lines += [line("busy", "status 400"), line("nobody", "red", model="nobody"), line("empty", "", messages=[])]
    made = create(client, lines, metadata={"a": "b"}, output_expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.status == "validating" and made.metadata == {"a": "b"} and made.expires_at - made.created_at == 86_400
    found = wait(client, made)
    assert found.status == "completed" and found.in_progress_at <= found.finalizing_at <= found.completed_at
    assert found.request_counts.to_dict() == {"total": 13, "completed": 10, "failed": 3}
    assert (found.usage.input_tokens, found.usage.input_tokens_details.cached_tokens) == (12_000, 10_240)
    answers, errors = content(client, found.output_file_id), content(client, found.error_file_id)
    assert [item["custom_id"] for item in answers] == [item["custom_id"] for item in lines[:10]]
    assert answers[0]["response"]["body"]["choices"][0]["message"]["content"] == "red"
    assert answers[0]["response"]["status_code"] == 200 and answers[0]["error"] is None
    assert [(item["custom_id"], item["response"]["status_code"]) for item in errors] == [
        ("busy", 400),
        ("nobody", 404),
        ("empty", 400),
    ]
    assert errors[1]["response"]["body"]["error"]["code"] == "model_not_found"
    assert client.files.retrieve(found.output_file_id).purpose == "batch_output"
    assert client.files.retrieve(found.output_file_id).expires_at - found.completed_at <= 3600
    assert [item.metadata for item in client.chat.completions.list(metadata={"from": "batch"})] == [{"from": "batch"}]
    with pytest.raises(openai.BadRequestError):
        client.batches.cancel(made.id)


def test_files_that_cannot_be_worked_through(client):
    odd = [line("odd", "odd"), line("list", "x", messages="x")]
    assert wait(client, create(client, odd)).request_counts.failed == 2
    wrong = [line("a", "x"), line("a", "x"), {**line("b", "x"), "url": "/v1/embeddings"}, {"custom_id": "c"}]
    found = wait(client, create(client, wrong))
    assert found.status == "failed" and found.output_file_id is None
    assert [(item.line, item.code) for item in found.errors.data] == [
        (2, "duplicate_custom_id"),
        (3, "mismatched_endpoint"),
        (4, "missing_required_parameter"),
    ]
    assert wait(client, create(client, [])).errors.data[0].code == "empty_file"
    other = upload(client, [line("a", "x")], purpose="evals")
    for file, endpoint in ((other, URL), (other, "/v1/embeddings")):
        with pytest.raises(openai.BadRequestError):
            client.batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h")
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file-0", endpoint=URL, completion_window="24h")


def test_the_largest_file_and_the_most_errors(monkeypatch):
    monkeypatch.setattr(batch_lines, "MAX_LINES", 2)
    content = [json.dumps(line(str(i), "x")).encode() for i in range(3)]
    assert len(read_lines(b"\n\n".join(content[:2]))[0]) == 2
    assert read_lines(b"\n".join(content))[1][0].code == "too_many_tasks"
    problems = read_lines(b"no json\n" * 300)[1]
    assert len(problems) == 100 and problems[99].line == 100 and problems[0].code == "invalid_json_line"


def test_batches_are_listed_cancelled_and_a_project_s_own(server, client):
    lines = [line(f"slow-{i}", "slow") for i in range(16)] + [line("late", "red")]
    made = create(client, lines)
    assert client.batches.cancel(made.id).status == "cancelling"
    assert client.batches.cancel(made.id).cancelling_at
    # Those that are being answered run into the teacher's time limit.
    second = wait(client, create(client, [line("a", "red")]))
    assert [item.id for item in client.batches.list()] == [second.id, made.id]
    assert [item.id for item in client.batches.list(after=second.id, limit=1)] == [made.id]
    other = server.client(server.new_key("other"))
    assert list(other.batches.list()) == []
    for method in (other.batches.retrieve, other.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            method(made.id)


def test_a_batch_goes_on_when_the_server_starts_again(tmp_path, teacher, monkeypatch):
    monkeypatch.setattr(answerers, "RETRY_AFTER_S", ())
    teachers = (TeacherSettings(name="big", base_url=teacher.url),)
    lines = [line(f"row-{i}", "red") for i in range(20)] + [line(f"slow-{i}", f"slow {i}") for i in range(16)]
    with running(tmp_path / "data", teachers=teachers) as server, server.client() as client:
        made = create(client, lines)
        for _ in range(400):
            if client.batches.retrieve(made.id).request_counts.completed == 20:
                break
            time.sleep(0.02)
    asked = len(teacher.bodies)
    with running(tmp_path / "data", teachers=teachers, teacher_timeout_s=5.0) as server, server.client() as client:
        assert client.batches.retrieve(made.id).request_counts.completed == 20
        client.batches.cancel(made.id)
        found = wait(client, made)
        assert found.status == "cancelled" and found.request_counts.total == 36
        assert found.request_counts.completed == 20 and len(content(client, found.output_file_id)) == 20
        errors = content(client, found.error_file_id)
    assert len(errors) == 16 and all(body["messages"][0]["content"] != "red" for body in teacher.bodies[asked:])
