"""The whole walk with the official SDK: traffic, training file, job, student, evals."""

import csv
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from potstill.server.settings import TeacherSettings
from tests.server.running import running
from tests.server.strict import DOCUMENT, strict_client
from tests.server.teacher import Teacher, answer, teaching

SYSTEM = {"role": "system", "content": "You route messages of a bank's customers. Answer with the intent."}


class Banker(Teacher):
    """Knows the intent of every message, as a large model nearly would."""

    def __init__(self, intents):
        super().__init__()
        self.intents = intents

    async def complete(self, request):
        from starlette.responses import JSONResponse

        body = await request.json()
        self.bodies.append(body)
        text = body["messages"][-1]["content"].removeprefix("Customer: ")
        return JSONResponse(answer(json.dumps({"intent": self.intents[text]})))


def real_rows(shared_data, per_class, num_classes):
    found = {}
    with (shared_data / "banking77" / "train.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["category"], []).append(row["text"])
    names = sorted(found)[:num_classes]
    return [(text, name) for i in range(per_class) for name in names for text in found[name][i : i + 1]]


@contextmanager
def bank(tmp_path, intents):
    with teaching(Banker(intents)) as teacher:
        settings = (TeacherSettings(name="gpt-big", base_url=teacher.url),)
        if not DOCUMENT.is_file():
            with running(tmp_path / "data", teachers=settings) as server, server.client() as client:
                yield client, teacher
            return
        with (
            strict_client() as http_client,
            running(tmp_path / "data", http_client, teachers=settings) as server,
            server.client() as client,
        ):
            yield client, teacher


def ask(client, model, text, schema, **more):
    messages = [SYSTEM, {"role": "user", "content": f"Customer: {text}"}]
    form = {"type": "json_schema", "json_schema": {"name": "intent", "strict": True, "schema": schema}}
    return client.chat.completions.create(model=model, messages=messages, response_format=form, **more)


def walk(tmp_path, rows, held_out, base, hyperparameters):
    """Returns how often teacher and student were right on the held-out rows."""
    names = sorted({name for _, name in rows})
    schema = {"type": "object", "properties": {"intent": {"enum": names}}, "required": ["intent"]}
    schema["additionalProperties"] = False
    with bank(tmp_path, dict([*rows, *held_out])) as (client, teacher):
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(lambda row: ask(client, "gpt-big", row[0], schema, store=True, metadata={"app": "bank"}), rows)
            )
        assert len(teacher.bodies) == len(rows)
        page = client.chat.completions.list(model="gpt-big", metadata={"app": "bank"}, limit=5)
        assert len(page.data) == 5 and page.has_more
        stored = page.data[0]
        assert client.chat.completions.retrieve(stored.id).choices == stored.choices
        assert client.chat.completions.messages.list(stored.id).data[0].content == SYSTEM["content"]
        made = client.post("/potstill/datasets", cast_to=object, body={"filter": {"metadata": {"app": "bank"}}})
        job = client.fine_tuning.jobs.create(
            model=base, training_file=made["file_id"], suffix="intents", seed=1, hyperparameters=hyperparameters
        )
        while job.status not in ("succeeded", "failed", "cancelled"):
            time.sleep(0.3)
            job = client.fine_tuning.jobs.retrieve(job.id)
        assert job.status == "succeeded", job.error
        said = " ".join(event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=100))
        assert "text classifier" in said and "Left out what every prompt repeats: 1 message(s), 10 character" in said
        student = job.fine_tuned_model
        for text in ("where is my card?", "zzz 123", held_out[0][0]):
            found = json.loads(ask(client, student, text, schema).choices[0].message.content)
            assert list(found) == ["intent"] and found["intent"] in names
        return evaluate(client, student, held_out, schema)


def evaluate(client, student, held_out, schema):
    check = {
        "type": "string_check",
        "name": "right",
        "input": "{{ sample.output_json.intent }}",
        "reference": "{{ item.intent }}",
        "operation": "eq",
    }
    config = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
    made = client.evals.create(data_source_config=config, testing_criteria=[check], name="intents")
    content = [{"item": {"text": text, "intent": name}} for text, name in held_out]
    template = [SYSTEM, {"role": "user", "content": "Customer: {{ item.text }}"}]
    form = {"type": "json_schema", "json_schema": {"name": "intent", "schema": schema}}
    runs = {}
    for model in ("gpt-big", student):
        source = {
            "type": "completions",
            "model": model,
            "source": {"type": "file_content", "content": content},
            "input_messages": {"type": "template", "template": template},
            "sampling_params": {"response_format": form},
        }
        run = client.evals.runs.create(made.id, data_source=source)
        while run.status in ("queued", "in_progress"):
            time.sleep(0.1)
            run = client.evals.runs.retrieve(run.id, eval_id=made.id)
        assert run.status == "completed" and run.result_counts.total == len(held_out), run.error
        assert run.per_testing_criteria_results[0].passed == run.result_counts.passed
        runs[model] = run
    wrong = client.evals.runs.output_items.list(runs[student].id, eval_id=made.id, status="fail", limit=100).data
    assert len(wrong) == min(100, runs[student].result_counts.failed + runs[student].result_counts.errored)
    path = f"/evals/{made.id}/runs/{runs['gpt-big'].id}/compare/{runs[student].id}"
    paired = client.get(path, cast_to=object)
    assert paired["num_rows"] == len(held_out)
    return runs["gpt-big"].result_counts.passed, runs[student].result_counts.passed


def test_a_small_walk(tmp_path, shared_data):
    rows = real_rows(shared_data, per_class=16, num_classes=4)
    teacher, student = walk(tmp_path, rows[:48], rows[48:], "potstill-static", {"n_epochs": 10})
    assert teacher == 16
    # Four classes: guessing is right on 4 of 16.
    assert student > 6


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_five_hundred_real_rows(tmp_path, shared_data):
    rows = real_rows(shared_data, per_class=35, num_classes=20)
    teacher, student = walk(tmp_path, rows[:500], rows[500:], "potstill-auto", {})
    assert teacher == len(rows) - 500
    assert student > 0.5 * teacher
