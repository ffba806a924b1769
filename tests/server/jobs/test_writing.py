import json

import pytest

from potstill.students.causal import save_causal_lm
from tests.lm import TEXTS, tiny_model, tiny_tokenizer
from tests.server.jobs.test_jobs import messages, upload, wait
from tests.server.running import running
from tests.server.strict import DOCUMENT, strict_client

pytest.importorskip("xllamacpp", reason="needs potstill[llama]")
pytest.importorskip("gguf", reason="needs potstill[lm]")
SYSTEM = {"role": "system", "content": "Answer the customer."}


def free_text(num, start=0):
    lines = []
    for i in range(start, start + num):
        said = {"role": "assistant", "content": f"Dear customer {i}, {TEXTS[(i * 3 + 1) % 5]}"}
        lines.append({"messages": [SYSTEM, {"role": "user", "content": f"{TEXTS[i % 5]} {i}"}, said]})
    return "\n".join(map(json.dumps, lines)).encode()


@pytest.fixture
def client(tmp_path):
    tokenizer = tiny_tokenizer()
    save_causal_lm(tmp_path / "base", tiny_model(tokenizer, layers=2), tokenizer)
    bases = (("tiny-lm", str(tmp_path / "base")),)
    if not DOCUMENT.is_file():
        with running(tmp_path / "data", bases=bases) as server, server.client() as client:
            yield client
        return
    with (
        strict_client() as http_client,
        running(tmp_path / "data", http_client, bases=bases) as server,
        server.client() as client,
    ):
        yield client


def test_free_text_makes_a_student_that_writes(client):
    job = client.fine_tuning.jobs.create(
        model="potstill-auto",
        training_file=upload(client, free_text(20)),
        validation_file=upload(client, free_text(4, 100)),
        seed=3,
        hyperparameters={"n_epochs": 2, "batch_size": 8},
    )
    done = wait(client, job, "succeeded")
    said = messages(client, job)
    assert any("Chosen: a generative student cut from tiny-lm" in message for message in said)
    assert done.trained_tokens > 0 and done.fine_tuned_model.startswith("ft:potstill-auto:")
    metrics = [e for e in client.fine_tuning.jobs.list_events(job.id, limit=100).data if e.type == "metrics"]
    assert metrics[0].data.keys() >= {"step", "total_steps", "train_loss", "valid_loss"}
    (checkpoint,) = client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert checkpoint.metrics.full_valid_loss > 0
    table = client.files.content(done.result_files[0]).text.splitlines()
    assert table[0].startswith("step,train_loss") and len(table) > 1
    asked = [SYSTEM, {"role": "user", "content": TEXTS[0]}]
    for model in (done.fine_tuned_model, checkpoint.fine_tuned_model_checkpoint):
        found = client.chat.completions.create(model=model, messages=asked, max_tokens=8)
        assert found.choices[0].message.content and found.usage.completion_tokens <= 8
    assert "tiny-lm" in {model.id for model in client.models.list()}
