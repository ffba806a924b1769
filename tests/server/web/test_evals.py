"""Criteria, runs side by side, and whether a difference is luck."""

import re
import time

import pytest

from tests.server.web.browsing import Browsing
from tests.server.web.storing import store


@pytest.fixture
def browser(server):
    """Twelve rows; the teacher says red or blue, and half of the stored answers are what it says again."""
    for i in range(12):
        store(server, f"{'red' if i % 2 else 'dull'} thing {i}", {"task": "colour"})
    with Browsing(server) as found:
        found.sign_in(server.api_key)
        yield found


def finished(browser):
    deadline = time.monotonic() + 60
    while "data-live" in browser.last.text and time.monotonic() < deadline:
        time.sleep(0.1)
        browser.get(str(browser.last.url.raw_path, "ascii"))
    return browser.last


def test_the_builder_adds_criteria_without_a_script(browser):
    page = browser.get("/evals/new?metadata=task%3Dcolour")
    assert "These are 12." in page.text and 'value="big"' in page.text
    fields = {"num_criteria": "1", "kind_0": "score_model", "name_0": "mine <b>", "filter_metadata": "task=colour"}
    added = browser.post("/evals/new", add="yes", **fields)
    assert "Criterion 2" in added.text and 'value="mine &lt;b&gt;"' in added.text and "These are 12." in added.text
    assert "Choose at least one model" in browser.post("/evals/new", start="yes", **fields).text
    for wrong in ({"threshold_0": "2"}, {"kind_0": "python"}, {"filter_text": "x"}, {"filter_metadata": "x"}):
        refused = browser.post("/evals/new", start="yes", models="big", **fields | wrong)
        assert refused.status_code == 400 and 'role="alert"' in refused.text
    assert "No eval yet" in browser.get("/evals").text


def test_runs_stand_side_by_side_with_paired_intervals(server, browser):
    browser.get("/evals/new?metadata=task%3Dcolour")
    checks = {"num_criteria": "2", "name": "colours <i>", "filter_metadata": "task=colour", "start": "yes"}
    for i, reference in enumerate(["{{ item.output }}", "red"]):
        checks |= {f"kind_{i}": "string_check", f"input_{i}": "{{ sample.output_text }}"}
        checks |= {f"reference_{i}": reference, f"operation_{i}": "eq", f"name_{i}": f"check {i}"}
    browser.post("/evals/new", models=["big", "gone"], **checks)
    address = browser.last.headers["location"]
    browser.follow()
    page = finished(browser)
    assert "colours &lt;i&gt;" in page.text and "50.0 %" in page.text
    assert "All (12)" in page.text and "Failures (12)" in page.text and "Different (6)" in page.text
    assert "first is better" in page.text and "+50.0" in page.text and "6 : 0" in page.text
    assert page.text.count("✓") == 6
    different = browser.get(address + "?show=different")
    assert len(re.findall(r"red thing \d+", different.text)) == 6 and "dull thing" not in different.text
    assert "check 1" in browser.get(address + "?show=failures&page=999").text
    assert address in browser.get("/evals").text
    with Browsing(server) as other:
        other.sign_in(server.new_key("other"))
        assert other.get(address).status_code == 404
        other.get("/evals")
        assert other.post(address + "/delete").status_code == 404
    browser.get(address)
    assert browser.post(address + "/delete").status_code == 303
    assert browser.get(address).status_code == 404
