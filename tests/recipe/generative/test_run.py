import json
import shutil
from dataclasses import replace
from importlib.util import find_spec

import pytest

from potstill.cli.generate import predict_text
from potstill.cli.main import main
from potstill.errors import ConfigurationError, GateError, IntegrityError
from potstill.exporters import causal_onnx
from potstill.exporters.llama_cpp import Parity
from potstill.recipe.exporting import Measured
from potstill.recipe.generative.exporting import check_writer
from potstill.recipe.generative.load import build_generative
from potstill.recipe.generative.run import run_generative
from potstill.report.generative import load_written_content
from potstill.runtime.generating import OnnxDecoder, is_generative, open_bundle
from potstill.students.causal import save_causal_lm
from potstill.types import Silent
from tests.lm import TEXTS, tiny_model, tiny_tokenizer
from tests.teachers.server import Server

KINDS = {"card": "my new card is broken", "loan": "the rate of a loan", "travel": "flight and hotel"}


def rows(count, start):
    return [
        {"prompt": f"{list(KINDS.values())[i % 3]} {i} {TEXTS[i % 5][: 5 + i % 9]}", "answer": list(KINDS)[i % 3]}
        for i in range(start, start + count)
    ]


def settings(folder):
    return {
        "data": {
            **{name: str(folder / f"{name}.jsonl") for name in ("train", "test", "unlabelled")},
            "leakage": "keep",
        },
        "teacher": {"model": str(folder / "teacher"), "num_epochs": 40, "learning_rate": 1e-2, "max_new_tokens": 12},
        "student": {"layers": 1},
        "training": {"least_steps": 8, "num_epochs": 1, "learning_rate": 1e-2, "precision": "fp32", "top_k": 4},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writing")
    for name, count, start in (("train", 24, 0), ("test", 9, 100), ("unlabelled", 9, 200)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(count, start)))
    tokenizer = tiny_tokenizer([*TEXTS, *KINDS.values()])
    save_causal_lm(folder / "teacher", tiny_model(tokenizer, layers=2), tokenizer)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return run_generative(build_generative(settings(folder)), folder / "run", store=folder / "store")


def test_the_result_line_holds_everybody(run):
    for name in ("teacher", "student", "control"):
        scores = run.result[name]
        assert 0 <= scores["exact_match"] == scores["accuracy"] <= 1
        assert scores["perplexity"] > 1 and scores["tokens_per_s"] > 0 and scores["latency_ms"]["p50"] > 0
        assert scores["pace"]["first_token_ms"] > 0 and scores["pace"]["prefill_tokens_per_s"] > 0
        assert scores["refusals"] == 0 and scores["field_accuracy"] is None
    assert run.result["student"]["kl"] >= 0 and run.result["student"]["num_kl_rows"] == 9
    assert run.result["student"]["num_parameters"] < run.result["teacher"]["num_parameters"]
    assert run.result["signal"] in ("top_k", "text") and "baseline" in run.result


def test_student_and_control_are_tried_alike(run):
    trials = load_written_content(run.folder / "report").trials
    assert len(trials["student"]) == len(trials["control"]) == 2
    assert {t["steps_done"] for name in trials for t in trials[name]} == {8}


def test_a_finished_run_is_a_no_op(run, folder):
    class Listening(Silent):
        def __init__(self):
            self.stages = []

        def stage(self, name, total=None):
            self.stages.append(name)

    progress = Listening()
    again = run_generative(build_generative(settings(folder)), run.folder, store=folder / "store", progress=progress)
    assert again.result == run.result and progress.stages == ["data"]


def test_answers_are_reused_by_another_run_of_the_same_teacher(run, folder, tmp_path):
    values = settings(folder)
    values["training"]["signal"] = "text"
    shutil.copytree(run.folder / "stages", tmp_path / "run" / "stages")
    again = run_generative(build_generative(values), tmp_path / "run", store=folder / "store")
    assert again.result["teacher_calls"] == 0 and again.result["signal"] == "text"


def test_narrow_students_write_for_themselves_and_learn_changes_of_low_rank(run, folder, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed (potstill[lora])")
    values = settings(folder)
    values["student"] |= {"groups": 1, "feed_forward": 24, "lora_rank": 2}
    values["training"] |= {"signal": "top_k", "on_policy": 0.5, "packing": True}
    shutil.copytree(run.folder / "stages", tmp_path / "run" / "stages")
    again = run_generative(build_generative(values), tmp_path / "run", store=folder / "store")
    assert 0 < again.result["student"]["num_parameters"] < run.result["student"]["num_parameters"]
    config = json.loads((again.bundle / "config.json").read_text("utf-8"))
    assert (config["num_key_value_heads"], config["num_attention_heads"], config["intermediate_size"]) == (1, 2, 24)
    assert again.result["teacher_calls"] == 0 and again.result["student"]["kl"] >= 0


@pytest.mark.parametrize("stored", ["sampled", "hidden"])
def test_other_signals_are_asked_for_and_teach(run, folder, tmp_path, stored):
    values = settings(folder)
    values["training"] |= {"signal": "top_k", "stored": stored}
    shutil.copytree(run.folder / "stages", tmp_path / "run" / "stages")
    again = run_generative(build_generative(values), tmp_path / "run", store=tmp_path / "store")
    assert again.result["teacher_calls"] == 9 and again.result["signal"] == "top_k"
    once_more = run_generative(build_generative(values), tmp_path / "again", store=tmp_path / "store")
    assert once_more.result["teacher_calls"] == 0
    assert once_more.result["student"]["perplexity"] == again.result["student"]["perplexity"]


def test_another_recipe_gets_another_folder(run, folder):
    values = settings(folder)
    values["seed"] = 1
    with pytest.raises(ConfigurationError, match="another recipe"):
        run_generative(build_generative(values), run.folder, store=folder / "store")


def test_bundle_answers_and_is_checked(run, tmp_path, capsys):
    assert is_generative(run.bundle) and not is_generative(tmp_path)
    probe = open_bundle(run.bundle).manifest.probes[0]
    assert main(["predict", str(run.bundle), probe["messages"][0]["content"], "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["answer"]
    if found["engine"] == "llama.cpp":
        assert found["cached_tokens"] == 0 < found["prompt_tokens"] and found["first_token_ms"] > 0
        live = predict_text(str(run.bundle), probe["messages"][0]["content"], live=True)
        assert capsys.readouterr().out.strip() == found["answer"] and not live.text.strip()
    copy = tmp_path / "bundle"
    shutil.copytree(run.bundle, copy)
    (copy / "config.json").write_bytes((copy / "config.json").read_bytes() + b" ")
    with pytest.raises(IntegrityError, match=r"config\.json"):
        open_bundle(copy)


def test_evaluate_finds_what_the_run_found(run, folder, capsys):
    assert main(["evaluate", str(run.bundle), str(folder / "test.jsonl"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["num_rows"] == 9
    if found["engine"] == "transformers":
        assert found["exact_match"] == run.result["student"]["exact_match"]


def test_report_in_both_languages(run, capsys):
    for language, word in (("en", "control"), ("ko", "대조군")):
        assert main(["report", str(run.folder), "--lang", language]) == 0
        page = (run.folder / "report" / "report.html").read_text("utf-8")
        assert {"en": "first token", "ko": "첫 토큰"}[language] in page
        assert word in page and f'lang="{language}"' in page
        assert word in (run.folder / "report" / "model_card.md").read_text("utf-8")
    capsys.readouterr()


def test_a_changed_report_is_noticed(run, tmp_path):
    shutil.copytree(run.folder / "report", tmp_path / "report")
    path = tmp_path / "report" / "report.json"
    path.write_text(path.read_text("utf-8").replace('"num_test":9', '"num_test":8'), "utf-8")
    with pytest.raises(IntegrityError, match="digest"):
        load_written_content(tmp_path / "report")


def test_options_of_a_classifier_are_refused(folder, capsys):
    assert main(["distill", str(folder / "train.jsonl"), "--prompt", "prompt", "--label", "answer"]) == 2
    assert "--label" in capsys.readouterr().err


def test_export_and_runs_know_such_a_run(run, capsys):
    assert main(["export", str(run.folder), "--target", "litert"]) == 2
    assert "model.gguf" in capsys.readouterr().err
    assert main(["runs", str(run.folder.parent), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert found["state"] == "finished" and found["accuracy"] == run.result["student"]["accuracy"]


@pytest.mark.skipif(not find_spec("xllamacpp") or not find_spec("gguf"), reason="needs potstill[lm,llama]")
def test_a_writing_student_goes_to_llama_cpp(run, tmp_path, capfd):
    out = tmp_path / "out"
    arguments = ["export", str(run.folder), "--target", "gguf", "--out", str(out), "--allow-slower", "--json"]
    assert main([*arguments, "--rounding", "f16"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["target"] == "gguf" and found["precision"] == "f16" and "llama.cpp" in found["runtime"]
    assert found["size_bytes"] == (out / "model.gguf").stat().st_size
    assert found["agreement"] == 1 and found["accuracy"] == found["fp32_accuracy"] and found["num_rows"] == 9
    assert found["top_1"] == 1 and found["top_5"] > 0.8 and found["kl"] < 1e-3
    assert found["cpu_ms"] > 0 and found["fp32_cpu_ms"] > 0
    facts = json.loads((out / "export.json").read_bytes())
    assert facts["size_bytes"] == found["size_bytes"]


@pytest.mark.parametrize("options", [[], ["--cache", "none", "--precision", "int8_weights"]])
def test_a_writing_student_goes_to_onnxruntime(run, tmp_path, capsys, options):
    out = tmp_path / "out"
    arguments = ["export", str(run.folder), "--target", "onnx", "--out", str(out), "--allow-slower", "--json"]
    assert main([*arguments, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["target"] == "onnx" and found["runtime"].startswith("onnxruntime ") and found["num_rows"] == 9
    assert found["size_bytes"] == (out / "model.onnx").stat().st_size and found["top_5"] > 0.8
    assert found["cpu_ms"] > 0 and found["fp32_cpu_ms"] > 0 and found["token_cpu_ms"]["recomputed"] > 0
    assert found["cache"] == (not options) == ("cached" in found["token_cpu_ms"])
    if not options:
        assert found["agreement"] == found["top_1"] == found["top_5"] == 1 and found["largest_difference"] < 1e-3
        assert found["accuracy"] == found["fp32_accuracy"] and found["kl"] < 1e-6
    assert json.loads((out / "export.json").read_bytes())["size_bytes"] == found["size_bytes"]
    assert {"tokenizer.json", "config.json", "chat_template.jinja"} <= {path.name for path in out.iterdir()}


def test_what_onnx_of_a_writing_student_cannot_be_is_refused(run, tmp_path, capsys, monkeypatch):
    arguments = ["export", str(run.folder), "--target", "onnx", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--precision", "int8"]) == 2
    assert "change with the cache" in capsys.readouterr().err
    assert main([*arguments, "--tokenizer", "in-graph"]) == 2
    assert main(["export", str(run.folder), "--target", "gguf", "--cache", "none"]) == 2
    capsys.readouterr()
    turned = causal_onnx._turned
    monkeypatch.setattr(causal_onnx, "_turned", lambda heads, turn: turned(heads, (turn[0] * 1.01, turn[1])))
    assert main(arguments) == 7
    assert "the conversion is wrong" in capsys.readouterr().err and not (tmp_path / "out").exists()
    monkeypatch.undo()
    right = OnnxDecoder.step

    def wrong(self, ids, cache=None):
        return right(self, [ids[0] ^ (cache is not None), *ids[1:]], cache)

    monkeypatch.setattr(OnnxDecoder, "step", wrong)
    assert main(arguments) == 7
    assert "with the cache" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_rounding_that_loses_or_is_slower_is_refused():
    parity = Parity(num_prompts=9, top_1=1.0, top_5=0.9, difference=0.2, kl=0.01)
    good = Measured(agreement=1.0, accuracy=0.9, fp32_accuracy=0.9, cpu_ms=1.0, fp32_cpu_ms=1.0, num_rows=9)
    check_writer("gguf", "q8_0", parity, good, plain="f32", allow_slower=False)
    with pytest.raises(GateError, match="slower"):
        check_writer("gguf", "q8_0", parity, replace(good, cpu_ms=1.5), plain="f32", allow_slower=False)
    check_writer("gguf", "q8_0", parity, replace(good, cpu_ms=1.5), plain="f32", allow_slower=True)
    with pytest.raises(GateError, match="exact match changes by"):
        check_writer("gguf", "q4_0", parity, replace(good, accuracy=0.8), plain="f32", allow_slower=True)
    with pytest.raises(GateError, match="five most probable"):
        check_writer("gguf", "q4_0", replace(parity, top_5=0.7), good, plain="f32", allow_slower=True)


def test_dry_run_reckons_without_a_model(folder, capsys):
    arguments = ["distill", str(folder / "train.jsonl"), "--prompt", "prompt", "--dry-run", "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["teacher_rows"] > 0 and found["cpu_seconds"] > 0


def undecided(text, number):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "tie"}}
    return 200, {}, {"id": "x", "object": "chat.completion", "model": "judge", "choices": [choice]}


def test_a_judge_behind_an_endpoint_is_asked_in_both_orders(folder, tmp_path, capsys):
    # A student that learned nothing says something else than its teacher, so that there is something to judge.
    values = settings(folder)
    training = {**values["training"], "least_steps": 1, "num_epochs": 0.1, "learning_rate": 1e-6}
    student = {"layers": 1, "base": values["teacher"]["model"]}
    made = build_generative({**values, "training": training, "student": student, "gguf": "none", "baseline": False})
    run = run_generative(made, tmp_path / "run", store=folder / "store")
    with Server(undecided) as server:
        by = f"openai:judge@{server.url}"
        arguments = ["judge", str(run.folder), "--by", by, "--second", "teacher", "--rows", "5", "--json"]
        assert main([*arguments, "--dry-run"]) == 0
        forecast = json.loads(capsys.readouterr().out)
        assert not server.asked and forecast["num_tokens"] > 50 * forecast["num_calls"] > 0
        assert main(arguments) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["num_rows"] == 5 and found["score"] == 0.5
        assert len(server.asked) == 2 * (5 - found["num_equal"]) == forecast["num_calls"]
        assert main(["judge", str(run.folder), "--by", by, "--second", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
