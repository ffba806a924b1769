"""From the button above the logs to a student that answers."""

import re
import time

import pytest

from tests.server.web.browsing import Browsing
from tests.server.web.storing import store

FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "colour",
        "schema": {"type": "object", "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}}},
    },
}


@pytest.fixture
def browser(server):
    """Somebody who signed in, with forty rows of a closed set and one conflict."""
    pytest.importorskip("torch", reason="needs potstill[train]")
    for text in ("free words", "other words"):
        store(server, text, {"task": "free"})
    for i in range(40):
        text = f"{'red' if i % 2 else 'dull'} thing {i % 38}"
        store(server, text, {"task": "colour"}, response_format=FORMAT)
    with Browsing(server) as found:
        found.sign_in(server.api_key)
        yield found


def tile(page, name):
    return re.search(f"<dt>{name}</dt><dd>([^<]*)", page.text)[1]


def test_the_check_counts_and_says_why_not(server, browser, client):
    page = browser.get("/distil?metadata=task%3Dcolour")
    assert (tile(page, "Rows"), tile(page, "Kept"), tile(page, "Duplicates")) == ("40", "38", "2")
    assert "Show the answers that occur (2)" in page.text and 'value="potstill-cnn"' in page.text
    assert "The teacher&#x27;s answers are stored" in page.text and "potstill-resnet" not in page.text
    held = b'{"messages": [{"role": "user", "content": "Red thing, 1!"}, {"role": "assistant", "content": "x"}]}'
    file = client.files.create(file=("held.jsonl", held), purpose="fine-tune")
    page = browser.get(f"/distil?metadata=task%3Dcolour&held_out={file.id}")
    assert (tile(page, "Leaks"), tile(page, "Kept")) == ("2", "37")
    few = browser.get("/distil?metadata=task%3Dfree")
    assert 'role="alert"' in few.text and "10" in few.text and "Start distillation" not in few.text
    assert 'role="alert"' in browser.get("/distil?metadata=nonsense").text
    assert browser.get("/distil?held_out=file-unknown").status_code == 404


def test_a_job_is_started_seen_and_cancelled(server, browser):
    browser.get("/distil?metadata=task%3Dcolour")
    refused = browser.post("/distil", metadata="task=colour", base="potstill-auto", seed="minus one")
    assert refused.status_code == 400 and "A seed is a whole number" in refused.text
    unknown = browser.post("/distil", metadata="task=colour", base="gpt-none", seed="1")
    assert unknown.status_code == 400 and "gpt-none" in unknown.text
    browser.post("/distil", metadata="task=colour", base="potstill-auto", seed="1", suffix="<colours>")
    page = browser.follow()
    assert "data-live" in page.text and "&lt;colours&gt;" in page.text
    assert '/cancel"' in page.text and "Created fine-tuning job" in page.text
    job = str(page.url.path)
    assert browser.post(job + "/cancel").headers["location"] == job
    deadline = time.monotonic() + 60
    while "data-live" in browser.get(job).text and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "cancelled" in browser.last.text and "data-live" not in browser.last.text
    assert job in browser.get("/jobs").text
    browser.get("/keys")
    assert browser.post(job + "/resume").status_code == 400
    training = re.search(r'href="(/files/file-[^"]*)"', browser.get(job).text)[1]
    file = browser.get(training)
    assert file.text.count("\n") == 38 and file.headers["content-disposition"].startswith("attachment")
    with Browsing(server) as other:
        other.sign_in(server.new_key("other"))
        assert other.get(job).status_code == other.get(training).status_code == 404
        other.get("/jobs")
        assert other.post(job + "/cancel").status_code == 404


@pytest.mark.slow
def test_a_student_is_made_shown_asked_and_downloaded(server, browser):
    browser.get("/distil?metadata=task%3Dcolour")
    browser.post("/distil", metadata="task=colour", base="potstill-linear", seed="1")
    job = str(browser.follow().url.path)
    deadline = time.monotonic() + 600
    while "data-live" in browser.get(job).text and time.monotonic() < deadline:
        time.sleep(1)
    page = browser.last
    assert "succeeded" in page.text and "Learning curves" in page.text and "<svg" in page.text
    asked = browser.post(job + "/ask", prompt="red thing 77")
    assert asked.text.count("&quot;red&quot;") == 2, "teacher and student side by side"
    model = re.search(r'href="(/models/[^"]*)" class="button main"', browser.get(job).text)[1]
    card = browser.get(model)
    assert "red thing" not in card.text and "Downloads" in card.text
    report = browser.get(model + "/report")
    assert report.status_code == 200 and "sandbox" in report.headers["content-security-policy"]
    assert browser.get(model + "/files/bundle.zip").content[:2] == b"PK"
    manifest = browser.get(model + "/files/manifest.json")
    assert manifest.json()["format"] == "potstill-bundle"
    assert browser.get(model + "/files/..%2F..%2Fjob.json").status_code in (400, 404)
    assert browser.get(model + "/files/job.json").status_code == 404
    tried = browser.get(model + "/try/index.html")
    assert tried.status_code == 200 or "npm" in tried.text
    if tried.status_code == 200:
        assert "'wasm-unsafe-eval'" in tried.headers["content-security-policy"]
        assert browser.get(model + "/try/page.mjs").headers["content-type"].startswith("text/javascript")
        assert browser.get(model + "/try/model.onnx").status_code == 200
        assert browser.get(model + "/try/job.json").status_code == 404
    assert "as fast as the last job" in browser.get("/distil?metadata=task%3Dcolour").text
    browser.get(model)
    assert browser.post(model + "/delete").status_code == 303
    assert browser.get(model).status_code == 404
