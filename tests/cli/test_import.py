"""Imports from a local server that plays OpenAI's API (another of ours), from files and from Promptfoo."""

import json
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="needs potstill[server]")
pytest.importorskip("openai", reason="needs the official SDK")

import openai

from potstill.cli.main import main
from potstill.errors import ConfigurationError, DataError
from potstill.server.settings import TeacherSettings
from tests.server.evals.test_evals import CHECK, CONFIG, completions, wait
from tests.server.routes.test_chat_completions import ask
from tests.server.running import running
from tests.server.teacher import teaching

RESULTS = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,2.5,0.1,,\n2,1.25,0.6,1.5,0.55\n"
DATA = DataError.exit_code
OLD = "ft:gpt-4o-mini-2024-07-18:acme::abc123"


@pytest.fixture
def two(tmp_path, monkeypatch):
    """The server to import from, and the one to import to."""
    with (
        teaching() as teacher,
        running(tmp_path / "old", teachers=(TeacherSettings(name="big", base_url=teacher.url),)) as old,
        running(tmp_path / "new", teachers=(TeacherSettings(name="big", base_url=teacher.url),)) as new,
    ):
        monkeypatch.setenv("OPENAI_API_KEY", old.api_key)
        monkeypatch.setenv("POTSTILL_API_KEY", new.api_key)
        with old.client() as from_, new.client() as to:
            yield SimpleNamespace(old=old, new=new, from_=from_, to=to)


@pytest.fixture
def bring(two, capsys):
    def run(*words, to=None, code=0):
        assert main(["import", *words, "--server", (to or two.new).base_url, "--json"]) == code
        out = capsys.readouterr().out
        return json.loads(out.splitlines()[-1]) if out else None

    return run


def test_completions_of_an_account_come_once(two, bring):
    for i in range(3):
        ask(two.from_, f"red {i}", store=True, metadata={"i": str(i)}, temperature=0.5)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "red picture"}, picture]
    last = ask(two.from_, content, store=True)
    kind = ("openai", "--from", two.old.base_url, "--only", "completions")
    assert bring(*kind)["completions"]["num_added"] == 4
    one = two.to.chat.completions.retrieve(last.id)
    assert one.created == last.created and one.choices[0].message.content == last.choices[0].message.content
    assert two.to.chat.completions.messages.list(last.id).data[0].to_dict()["content_parts"] == content
    (tagged,) = two.to.chat.completions.list(metadata={"i": "1"})
    assert tagged.to_dict()["temperature"] == 0.5
    ask(two.from_, "blue later", store=True)
    again = bring(*kind)["completions"]
    # Those that are here were not even asked for.
    assert (again["num_lines"], again["num_added"]) == (1, 1)


def test_evals_keep_their_runs_and_rows(two, bring):
    made = two.from_.evals.create(name="colours", data_source_config=CONFIG, testing_criteria=[CHECK])
    run = wait(two.from_, made, two.from_.evals.runs.create(made.id, data_source=completions()))
    kind = ("openai", "--from", two.old.base_url, "--only", "evals")
    assert bring(*kind)["evals"] == {"evals_added": 1, "runs_added": 1, "items_added": 10, "left_out": []}
    assert bring(*kind)["evals"]["items_added"] == 0
    assert two.to.evals.retrieve(made.id).name == "colours"
    found = two.to.evals.runs.retrieve(run.id, eval_id=made.id)
    assert found.result_counts == run.result_counts and found.status == "completed"
    assert found.per_testing_criteria_results == run.per_testing_criteria_results
    items = two.to.evals.runs.output_items.list(run.id, eval_id=made.id, status="pass")
    assert {item.datasource_item["label"] for item in items} == {"red", "blue"}
    # It goes on from there: the same eval takes new runs.
    again = wait(two.to, made, two.to.evals.runs.create(made.id, data_source=completions()))
    assert again.result_counts.passed == run.result_counts.passed


def test_jobs_curves_and_old_names(two, bring, tmp_path, monkeypatch):
    results = tmp_path / "step_metrics.csv"
    results.write_text(RESULTS)
    given = ("results", str(results), "--base", "gpt-4o-mini-2024-07-18", "--model", OLD)
    with monkeypatch.context() as old_key:
        old_key.setenv("POTSTILL_API_KEY", two.old.api_key)
        made = bring(*given, to=two.old)
        assert made["added"] and not bring(*given, to=two.old)["added"]
    found = bring("openai", "--from", two.old.base_url, "--only", "jobs")["jobs"]
    assert found == {"jobs_added": 1, "models": [OLD], "left_out": []}
    job = two.to.fine_tuning.jobs.retrieve(made["job_id"])
    assert job.status == "succeeded" and job.fine_tuned_model == OLD
    assert two.to.files.content(job.result_files[0]).text == RESULTS
    events = two.to.fine_tuning.jobs.list_events(job.id).data
    assert [event.data["train_loss"] for event in reversed(events)] == [2.5, 1.25]
    assert "valid_loss" not in events[-1].data and events[0].data["valid_mean_token_accuracy"] == 0.55

    with pytest.raises(openai.NotFoundError):
        ask(two.to, "red", model=OLD)
    names = tmp_path / "names.csv"
    names.write_text(f"{OLD},big\n")
    assert bring("names", str(names))["aliases"] == {OLD: "big"}
    answer = ask(two.to, "red", model=OLD, store=True)
    assert answer.model == OLD and answer.choices[0].message.content == "red"
    with pytest.raises(openai.NotFoundError):
        ask(two.new.client(two.new.new_key("other")), "red", model=OLD)
    names.write_text(json.dumps({"ft:another": OLD}))
    bring("names", str(names), code=DATA)
    names.write_text(json.dumps({"ft:another": "nobody"}))
    bring("names", str(names), code=DATA)
    assert two.to.delete(f"/potstill/aliases/{OLD}", cast_to=object)["deleted"]
    with pytest.raises(openai.NotFoundError):
        ask(two.to, "red", model=OLD)


def test_a_promptfoo_configuration(two, bring, tmp_path):
    config = {
        "description": "colours",
        "prompts": ["Say the colour of {{ thing }}.", "{% if thing %}x{% endif %}"],
        "defaultTest": {"assert": [{"type": "icontains", "value": "{{expected}}"}]},
        "tests": [
            {"vars": {"thing": ["red ball", "red car"], "expected": "RED"}},
            {"vars": {"thing": "sky", "expected": "green"}, "assert": [{"type": "javascript", "value": "1"}]},
            {"vars": {"thing": "sea", "expected": "blue"}, "assert": [{"type": "equals", "value": "blue"}]},
        ],
    }
    path = tmp_path / "promptfooconfig.json"
    path.write_text(json.dumps(config))
    found = bring("promptfoo", str(path), "--run", "big")
    assert [(each["num_rows"], each["added"]) for each in found["evals"]] == [(3, True), (1, True)]
    assert any("javascript" in reason for reason in found["left_out"])
    assert any("prompt 2" in reason for reason in found["left_out"])
    first, second = found["evals"]
    made = SimpleNamespace(id=first["eval_id"])
    run = wait(two.to, made, SimpleNamespace(id=first["runs"][0]))
    assert (run.result_counts.passed, run.result_counts.failed, run.result_counts.errored) == (2, 1, 0)
    both = wait(two.to, SimpleNamespace(id=second["eval_id"]), SimpleNamespace(id=second["runs"][0]))
    assert both.result_counts.passed == 1
    assert not any(each["added"] for each in bring("promptfoo", str(path))["evals"])


def test_what_can_not_be_done_is_said(two, bring, tmp_path, monkeypatch, capsys):
    lines = tmp_path / "lines.jsonl"
    bring("completions", str(lines), code=DATA)
    lines.write_text('{"messages": []}\n\n{"messages": [{"role": "user", "content": "x"}]}\n')
    found = bring("completions", str(lines), "--model", "gpt-4o")
    assert [each["line"] for each in found["rejected"]] == [1, 3]
    (tmp_path / "r.csv").write_text("step,train_loss\n1,nan\n")
    bring("results", str(tmp_path / "r.csv"), "--base", "b", code=DATA)
    (tmp_path / "p.json").write_text(json.dumps({"prompts": ["file://../secret"], "tests": []}))
    bring("promptfoo", str(tmp_path / "p.json"), code=DATA)
    capsys.readouterr()
    monkeypatch.delenv("POTSTILL_API_KEY")
    bring("completions", str(lines), code=ConfigurationError.exit_code)
