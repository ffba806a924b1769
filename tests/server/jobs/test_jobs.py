import csv
import io
import json
import math
import os
import re
import signal
import time
from pathlib import Path
from urllib.parse import quote

import openai
import pytest

from tests.server.running import running
from tests.server.web.browsing import Browsing
from tests.toys import sentences

SYSTEM = {"role": "system", "content": "Say which intent a message has."}


def training_file(num=80, answer=lambda label: json.dumps({"intent": label})):
    lines = []
    for text, label in sentences(num):
        said = {"role": "assistant", "content": answer(label)}
        lines.append(json.dumps({"messages": [SYSTEM, {"role": "user", "content": text}, said]}))
    return "\n".join(lines).encode()


def wait(client, job, *states, seconds=200):
    for _ in range(seconds * 5):
        found = client.fine_tuning.jobs.retrieve(job.id)
        if found.status in states:
            return found
        assert found.status not in ("failed", "succeeded", "cancelled"), found.error
        time.sleep(0.2)
    raise AssertionError(f"{found.status} after {seconds} s")


def upload(client, content):
    return client.files.create(file=("train.jsonl", content), purpose="fine-tune").id


def messages(client, job):
    return [event.message for event in client.fine_tuning.jobs.list_events(job.id, limit=100).data][::-1]


def test_a_job_from_file_to_answer(client):
    text, _ = sentences(1)[0]
    job = client.fine_tuning.jobs.create(
        model="potstill-static",
        training_file=upload(client, training_file()),
        validation_file=upload(client, training_file(90)[len(training_file()) + 1 :]),
        suffix="shop",
        seed=3,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        metadata={"team": "a"},
    )
    assert job.status == "validating_files" and job.seed == 3 and job.hyperparameters.n_epochs == 2
    done = wait(client, job, "succeeded")
    name = done.fine_tuned_model
    assert name.startswith("ft:potstill-static:default:shop:") and done.trained_tokens > 0
    said = messages(client, job)
    order = ["Created fine-tuning job", "Validating training file", "Files validated", "Fine-tuning job started"]
    order += [
        "Step ",
        "Checkpoint created at step",
        "New fine-tuned model created",
        "The job has successfully completed",
    ]
    places = [next(i for i, message in enumerate(said) if message.startswith(start)) for start in order]
    assert places == sorted(places) and len(set(said)) == len(said)
    assert any("text classifier" in message for message in said)
    metrics = [e for e in client.fine_tuning.jobs.list_events(job.id, limit=100).data if e.type == "metrics"]
    names = {"train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy"}
    assert metrics[0].data.keys() == {"step", "total_steps", *names}
    checkpoints = client.fine_tuning.jobs.checkpoints.list(job.id).data
    for checkpoint in checkpoints:
        assert checkpoint.fine_tuned_model_checkpoint == f"{name}:ckpt-step-{checkpoint.step_number}"
        assert checkpoint.metrics.valid_mean_token_accuracy is not None
    (shipped,) = [each for each in checkpoints if each.metrics.full_valid_mean_token_accuracy is not None]
    assert shipped.metrics.valid_loss == min(each.data["valid_loss"] for each in metrics)
    table = list(csv.DictReader(io.StringIO(client.files.content(done.result_files[0]).text)))
    assert list(table[0]) == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    told = {str(each.data["step"]): each.data for each in metrics}
    for row in table:
        said = told[row["step"]]
        assert float(row["train_accuracy"]) == said["train_mean_token_accuracy"]
        assert float(row["valid_mean_token_accuracy"]) == said["valid_mean_token_accuracy"]
        assert 0 <= float(row["train_accuracy"]) <= 1
    for model in (name, *(each.fine_tuned_model_checkpoint for each in checkpoints)):
        answer = client.chat.completions.create(model=model, messages=[SYSTEM, {"role": "user", "content": text}])
        assert json.loads(answer.choices[0].message.content)["intent"] in {"card", "loan", "travel", "weather"}
        assert client.models.retrieve(model).id == model
    (vector,) = client.embeddings.create(model=name, input=text).data
    assert sum(x * x for x in vector.embedding) == pytest.approx(1, abs=1e-5)
    assert {m.id for m in client.models.list()} >= {name, "potstill-auto", "potstill-cnn"}
    assert [j.id for j in client.fine_tuning.jobs.list(metadata={"team": "a"})] == [job.id]
    assert client.fine_tuning.jobs.list(metadata={"team": "b"}).data == []
    with pytest.raises(openai.BadRequestError, match="succeeded already"):
        client.fine_tuning.jobs.cancel(job.id)


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (training_file(7), "invalid_n_examples", "Training file has 7 example(s), but must have at least 10 examples"),
        (b'{"messages": [{"content": "x"}]}', "invalid_file_format", "Discriminator 'role' is missing in value"),
    ],
)
def test_files_that_can_t_be_used_fail_the_job(client, content, code, message):
    job = client.fine_tuning.jobs.create(model="potstill-auto", training_file=upload(client, content))
    for _ in range(300):
        found = client.fine_tuning.jobs.retrieve(job.id)
        if found.status == "failed":
            break
        time.sleep(0.1)
    assert found.error.code == code and message in found.error.message and found.error.param == "training_file"


def test_a_classifiers_base_refuses_free_text(client):
    content = "\n".join(training_file(1, lambda _, i=i: f"Dear {i}").decode() for i in range(12)).encode()
    job = client.fine_tuning.jobs.create(model="potstill-static", training_file=upload(client, content))
    until(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "failed")
    error = client.fine_tuning.jobs.retrieve(job.id).error
    assert error.code == "answers_not_closed" and "potstill-smollm2" in error.message


def test_requests_that_can_t_be_done_are_refused(client):
    file = upload(client, training_file(10))
    cases = [
        ({"model": "gpt-4o"}, "not available for fine-tuning"),
        ({"method": {"type": "dpo"}}, "not served"),
        ({"hyperparameters": {"n_epochs": 51}}, "n_epochs"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
    ]
    for change, message in cases:
        with pytest.raises(openai.BadRequestError, match=message):
            client.fine_tuning.jobs.create(**{"model": "potstill-auto", "training_file": file, **change})
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.create(model="potstill-auto", training_file="file-unknown")


def child_of(server, job):
    """The process id of the job's child."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if entry.name.isdecimal() and b"potstill.server.jobs.child" in command and job.id.encode() in command:
            return int(entry.name)
    return None


def until(question, seconds=100):
    for _ in range(seconds * 10):
        if found := question():
            return found
        time.sleep(0.1)
    raise AssertionError("it never came")


@pytest.mark.slow
def test_killed_paused_and_restarted_a_job_goes_on(tmp_path):
    with running(tmp_path / "data") as server, server.client() as client:
        job = client.fine_tuning.jobs.create(
            model="potstill-static", training_file=upload(client, training_file()), hyperparameters={"n_epochs": 4}
        )
        until(lambda: any("job started" in message for message in messages(client, job)))
        os.kill(child_of(server, job), signal.SIGKILL)
        first = time.monotonic()
        until(lambda: child_of(server, job))
        assert time.monotonic() - first < 60
        client.fine_tuning.jobs.pause(job.id)
        wait(client, job, "paused")
        assert child_of(server, job) is None
        client.fine_tuning.jobs.resume(job.id)
        until(lambda: child_of(server, job))
    with running(tmp_path / "data") as server, server.client() as client:
        done = wait(client, job, "succeeded")
        said = messages(client, job)
        assert len(said) == len(set(said)), "nothing is told twice"
        assert [m.id for m in client.models.list()].count(done.fine_tuned_model) == 1


def test_checkpoints_judge_are_downloaded_and_go_with_their_student(server):
    client = server.client()
    job = client.fine_tuning.jobs.create(
        model="potstill-static", training_file=upload(client, training_file()), hyperparameters={"n_epochs": 12}
    )
    name = wait(client, job, "succeeded").fine_tuned_model
    checkpoints = client.fine_tuning.jobs.checkpoints.list(job.id).data
    steps = [each.step_number for each in checkpoints]
    assert steps == sorted(steps, reverse=True) and 3 <= len(steps) <= 4
    folder = server.services.settings.data / "jobs" / job.id / "run"
    assert len(list((folder / "checkpoints").iterdir())) == len(steps) - 1 and not list(folder.rglob("snapshots"))
    criterion = {
        "type": "string_check",
        "name": "right",
        "input": "{{ sample.output_json.intent }}",
        "reference": "{{ item.intent }}",
        "operation": "eq",
    }
    config = {"type": "custom", "item_schema": {"type": "object"}, "include_sample_schema": True}
    made = client.evals.create(data_source_config=config, testing_criteria=[criterion])
    rows = [{"item": {"text": text, "intent": label}} for text, label in sentences(40)]
    template = {"type": "template", "template": [SYSTEM, {"role": "user", "content": "{{ item.text }}"}]}
    for each in checkpoints:
        source = {"type": "file_content", "content": rows}
        asked = {"type": "completions", "model": each.fine_tuned_model_checkpoint, "source": source}
        run = client.evals.runs.create(made.id, data_source={**asked, "input_messages": template})
        until(lambda run=run: client.evals.runs.retrieve(run.id, eval_id=made.id).status == "completed")
        counts = client.evals.runs.retrieve(run.id, eval_id=made.id).result_counts
        assert counts.total == len(rows) and counts.errored == 0
    with Browsing(server) as browser:
        browser.sign_in(server.api_key)
        page = browser.get(f"/jobs/{job.id}").text
        assert "Accuracy, training" in page and "Accuracy, held out" in page
        for each in checkpoints:
            address = f"/models/{quote(each.fine_tuned_model_checkpoint, safe='')}"
            assert address in page and f"/jobs/{job.id}" in browser.get(address).text
            assert browser.get(f"{address}/files/model.onnx").content[:4]
    # The step that ships has its student's own bundle, which outlives it.
    (shipped,) = [each for each in checkpoints if each.metrics.full_valid_mean_token_accuracy is not None]
    client.models.delete(shipped.fine_tuned_model_checkpoint)
    asked = [SYSTEM, {"role": "user", "content": "rain"}]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model=shipped.fine_tuned_model_checkpoint, messages=asked)
    assert client.chat.completions.create(model=name, messages=asked).choices
    client.models.delete(name)
    for each in checkpoints:
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(each.fine_tuned_model_checkpoint)
    assert client.fine_tuning.jobs.checkpoints.list(job.id).data == []
    assert not list((folder / "checkpoints").iterdir()) and (folder / "bundle" / "model.onnx").is_file()


def test_log_probabilities_teach_as_soft_labels(server):
    client = server.client()
    lines = []
    for i, (text, label) in enumerate(sentences(60)):
        other = "loan" if label == "card" else "card"
        listed = [{"token": t, "logprob": math.log(p)} for t, p in ((label, 0.75), (other, 0.25))]
        line = {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": label}]}
        if i % 2:
            line["potstill"] = {"logprobs": {"content": [{**listed[0], "top_logprobs": listed}]}}
        lines.append(json.dumps(line))
    file = upload(client, "\n".join(lines).encode())
    job = client.fine_tuning.jobs.create(
        model="potstill-static", training_file=file, hyperparameters={"n_epochs": 2, "batch_size": 16}
    )
    wait(client, job, "succeeded")
    said = messages(client, job)
    assert any(re.search(r"^30 of \d+ row\(s\) have soft labels", message) for message in said), said
    folder = server.services.settings.data / "jobs" / job.id
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    soft = [row["@teacher"] for row in rows if isinstance(row["@teacher"], dict)]
    assert len(soft) in range(25, 31) and all(max(each.values()) == pytest.approx(0.75) for each in soft)
    report = json.loads((folder / "run" / "report" / "report.json").read_text())
    assert "soft" in json.dumps(report)


def test_a_cancelled_job_stays_so(client):
    job = client.fine_tuning.jobs.create(model="potstill-cnn", training_file=upload(client, training_file()))
    client.fine_tuning.jobs.cancel(job.id)
    found = wait(client, job, "cancelled")
    assert found.fine_tuned_model is None and found.finished_at
    with pytest.raises(openai.BadRequestError, match="only a paused job"):
        client.fine_tuning.jobs.resume(job.id)


def test_a_trained_student_answers_where_it_is_sure_and_its_teacher_elsewhere(server, teacher):
    client = server.client()
    rows = sentences(400)
    lines = training_file(400).splitlines()
    job = client.fine_tuning.jobs.create(
        model="potstill-static",
        training_file=upload(client, b"\n".join(lines[:250])),
        validation_file=upload(client, b"\n".join(lines[250:])),
        hyperparameters={"n_epochs": 20},
    )
    cascade = f"cascade:{wait(client, job, 'succeeded').fine_tuned_model}"
    clear, torn = rows[0][0], " ".join(text for text, _ in rows[:4])
    asked = len(teacher.bodies)

    def ask(text):
        messages = [SYSTEM, {"role": "user", "content": text}]
        return client.chat.completions.create(model=cascade, messages=messages, extra_body={"teacher": "big"})

    own = ask(clear)
    assert own.potstill["answered_by"] == "student" and len(teacher.bodies) == asked
    assert own.potstill["probability"] >= own.potstill["threshold"] > 0
    other = ask(torn)
    assert other.potstill["probability"] < other.potstill["threshold"] == own.potstill["threshold"]
    assert other.potstill["answered_by"] == "teacher" and len(teacher.bodies) == asked + 1
    assert [row.id for row in client.chat.completions.list(model=cascade)] == [other.id]
