import json
import time
from contextlib import contextmanager

import openai
import pytest

from potstill.server.errors import ApiError
from potstill.server.evals.sources import check_source
from potstill.server.settings import TeacherSettings
from tests.server.running import running
from tests.server.strict import DOCUMENT, strict_client
from tests.server.teacher import teaching

ROWS = [{"item": {"text": f"a {colour} ball {i}", "label": colour}} for i, colour in enumerate(["red", "blue"] * 5)]
CHECK = {
    "type": "string_check",
    "name": "right",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.label }}",
    "operation": "eq",
}
CONFIG = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
ASK = {"type": "template", "template": [{"role": "user", "content": "{{ item.text }}"}]}


def completions(rows=ROWS, **more):
    source = {"type": "file_content", "content": rows}
    return {"type": "completions", "source": source, "input_messages": ASK, "model": "big", **more}


def jsonl(rows):
    return {"type": "jsonl", "source": {"type": "file_content", "content": rows}}


@pytest.fixture
def client(tmp_path):
    with teaching() as teacher, clients(tmp_path, teacher) as found:
        yield found


@contextmanager
def clients(tmp_path, teacher):
    settings = (TeacherSettings(name="big", base_url=teacher.url),)
    if not DOCUMENT.is_file():
        with running(tmp_path / "data", teachers=settings) as server, server.client() as client:
            yield client
        return
    with (
        strict_client() as http_client,
        running(tmp_path / "data", http_client, teachers=settings) as server,
        server.client() as client,
    ):
        yield client


def wait(client, made, run):
    for _ in range(200):
        found = client.evals.runs.retrieve(run.id, eval_id=made.id)
        if found.status not in ("queued", "in_progress"):
            return found
        time.sleep(0.1)
    raise AssertionError(found.status)


def until(question):
    for _ in range(200):
        if question():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def run(client, made, source, **more):
    return wait(client, made, client.evals.runs.create(made.id, data_source=source, **more))


def test_a_model_is_asked_and_graded_row_by_row(client):
    other = {**CHECK, "name": "red", "reference": "red"}
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK, other], name="colours")
    assert made.data_source_config.schema_["required"] == ["item", "sample"]
    found = run(client, made, completions(), name="first", metadata={"a": "b"})
    assert found.status == "completed" and found.model == "big" and found.name == "first"
    counts = found.result_counts
    assert (counts.total, counts.passed, counts.failed, counts.errored) == (10, 5, 5, 0)
    shown = [(r.testing_criteria, r.passed, r.failed) for r in found.per_testing_criteria_results]
    assert shown == [("right", 10, 0), ("red", 5, 5)]
    (usage,) = found.per_model_usage
    assert (usage.model_name, usage.invocation_count, usage.prompt_tokens) == ("big", 10, 12000)
    items = client.evals.runs.output_items.list(found.id, eval_id=made.id, status="fail").data
    assert len(items) == 5 and all(item.status == "fail" for item in items)
    pages = [
        item.datasource_item_id for item in client.evals.runs.output_items.list(found.id, eval_id=made.id, limit=3)
    ]
    assert pages == list(range(10))
    one = client.evals.runs.output_items.retrieve(items[0].id, eval_id=made.id, run_id=found.id)
    assert one.datasource_item["label"] == "blue" and one.sample.output[0].content == "blue"


def test_given_samples_are_graded_without_asking(client):
    rows = [{**row, "sample": {"output_text": "red"}} for row in ROWS]
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK])
    found = run(client, made, jsonl(rows))
    assert (found.result_counts.passed, found.result_counts.failed) == (5, 5)
    missing = run(client, made, jsonl(ROWS))
    assert missing.result_counts.errored == 10 and missing.per_testing_criteria_results[0].failed == 10
    (item, *_) = client.evals.runs.output_items.list(missing.id, eval_id=made.id).data
    assert item.sample.error.code == "sample_parse_error"


def test_runs_are_compared_in_pairs(client):
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK])
    first = run(client, made, completions())
    second = run(client, made, jsonl([{**row, "sample": {"output_text": "red"}} for row in ROWS[:8]]))
    path = f"/evals/{made.id}/runs/{first.id}/compare/{second.id}"
    found = client.get(path, cast_to=object)
    assert (found["num_rows"], found["num_unpaired"], found["only_first_passed"]) == (8, 2, 4)
    assert found["difference"] == 0.5 and found["mcnemar_p"] == 0.125
    low, high = found["difference_ci95"]
    assert 0 < low < 0.5 < high


def test_stored_completions_are_graded_as_they_are_and_asked_again(client):
    for row in ROWS[:4]:
        client.chat.completions.create(
            model="big",
            messages=[{"role": "user", "content": row["item"]["text"]}],
            store=True,
            metadata={"kind": "colours"},
        )
    check = {**CHECK, "reference": "red"}
    config = {"type": "stored_completions", "metadata": {"kind": "colours"}}
    made = client.evals.create(data_source_config=config, testing_criteria=[check])
    source = {"type": "stored_completions", "metadata": {"kind": "colours"}}
    stored = run(client, made, {"type": "completions", "source": source})
    assert (stored.result_counts.passed, stored.result_counts.failed) == (2, 2)
    again = run(client, made, {"type": "completions", "source": source, "model": "big"})
    assert (again.result_counts.passed, again.result_counts.failed) == (2, 2)


def test_stored_responses_are_graded_and_asked_again(client):
    for number, row in enumerate(ROWS[:4]):
        instructions = "Say the colour." if number < 3 else "Be brief."
        client.responses.create(model="big", input=row["item"]["text"], instructions=instructions)
    client.chat.completions.create(model="big", messages=[{"role": "user", "content": "red"}], store=True)
    made = client.evals.create(data_source_config={"type": "logs"}, testing_criteria=[{**CHECK, "reference": "red"}])
    source = {"type": "responses", "model": "big"}
    stored = run(client, made, {"type": "responses", "source": source})
    assert (stored.result_counts.passed, stored.result_counts.failed) == (2, 2)
    told = {**source, "instructions_search": "the colour"}
    again = run(client, made, {"type": "responses", "source": told, "model": "big"})
    assert (again.result_counts.passed, again.result_counts.failed) == (2, 1)
    one = run(client, made, {"type": "responses", "source": {**source, "limit": 1}})
    assert one.result_counts.total == 1
    with pytest.raises(ApiError, match="can't be chosen by 'tools'"):
        check_source({"type": "responses", "source": {**source, "tools": ["f"]}})


def test_a_file_is_a_source(client):
    content = "\n".join(map(json.dumps, ROWS)).encode()
    file = client.files.create(file=("rows.jsonl", content), purpose="evals")
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK])
    source = {**completions(), "source": {"type": "file_id", "id": file.id}}
    assert run(client, made, source).result_counts.passed == 10
    broken = run(client, made, {**source, "source": {"type": "file_id", "id": "file-0"}})
    assert broken.status == "failed" and "file-0" in broken.error.message


def test_a_judge_is_one_of_the_server_s_models(client):
    judge = {
        "type": "label_model",
        "name": "j",
        "model": "big",
        "input": [{"role": "user", "content": "{{ sample.output_text }}"}],
        "labels": ["red", "blue"],
        "passing_labels": ["red"],
    }
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[judge])
    found = run(client, made, completions(ROWS[:2]))
    # The teacher of these tests answers {"colour": ...}, which is no label: an error, and no wrong row.
    assert found.result_counts.errored == 2


def test_evals_are_changed_listed_and_deleted(client):
    first = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK], name="a")
    second = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK], name="b")
    assert client.evals.update(first.id, name="c", metadata={"x": "y"}).name == "c"
    assert [e.id for e in client.evals.list(limit=1)] == [first.id, second.id]
    assert [e.id for e in client.evals.list(order_by="updated_at", order="desc")] == [first.id, second.id]
    done = run(client, first, jsonl([{**ROWS[0], "sample": {"output_text": "red"}}]))
    assert [r.id for r in client.evals.runs.list(first.id, status="completed")] == [done.id]
    with pytest.raises(openai.BadRequestError, match="completed already"):
        client.evals.runs.cancel(done.id, eval_id=first.id)
    assert client.evals.runs.delete(done.id, eval_id=first.id).deleted
    assert client.evals.delete(first.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.evals.retrieve(first.id)


def test_a_run_is_cancelled(client):
    made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK])
    rows = [{"item": {"text": f"slow {i}", "label": "x"}} for i in range(3)]
    begun = client.evals.runs.create(made.id, data_source=completions(rows))
    assert client.evals.runs.cancel(begun.id, eval_id=made.id).status == "canceled"
    assert client.evals.runs.retrieve(begun.id, eval_id=made.id).status == "canceled"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"testing_criteria": [{"type": "zebra"}]}, "is not known"),
        ({"testing_criteria": [{**CHECK, "operation": "is"}]}, "operation"),
        ({"data_source_config": {"type": "zebra"}}, "expected one of"),
    ],
)
def test_evals_that_can_t_work_are_refused(client, change, message):
    with pytest.raises(openai.BadRequestError, match=message):
        client.evals.create(**{"data_source_config": CONFIG, "testing_criteria": [CHECK], **change})


def test_a_run_that_was_interrupted_is_taken_up(tmp_path):
    with teaching() as teacher:
        with clients(tmp_path, teacher) as client:
            made = client.evals.create(data_source_config=CONFIG, testing_criteria=[CHECK])
            rows = [{"item": {"text": "a red ball", "label": "red"}}, {"item": {"text": "slow", "label": "x"}}]
            begun = client.evals.runs.create(made.id, data_source=completions(rows))
            until(
                lambda: client.evals.runs.output_items.list(begun.id, eval_id=made.id).data and len(teacher.bodies) == 2
            )
        with clients(tmp_path, teacher) as client:
            assert client.evals.runs.retrieve(begun.id, eval_id=made.id).status in ("queued", "in_progress")
            until(lambda: len(teacher.bodies) == 3)
            assert teacher.bodies[-1]["messages"][0]["content"] == "slow", "the row that is there is not asked again"
            client.evals.runs.cancel(begun.id, eval_id=made.id)
