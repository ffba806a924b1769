import json
import math

import pytest

from potstill.cli.main import main
from potstill.errors import ConfigurationError, DataError
from potstill.recipe.generative.load import build_generative
from potstill.recipe.generative.run import run_generative
from potstill.students.causal import save_causal_lm
from tests.lm import TEXTS, tiny_model, tiny_tokenizer
from tests.teachers.server import Server

KINDS = ("card", "loan", "rain or storm")


def test_recorded_answers_teach_a_student(tmp_path, capsys):
    kinds = ("card", "loan", "rain")

    def write(name, count, start, **further):
        listed = [
            {"prompt": f"{TEXTS[i % 5]} {i}", "said": kinds[i % 3], **further} for i in range(start, start + count)
        ]
        if name != "more":
            listed = [{**row, "answer": row["said"]} for row in listed]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
        return str(tmp_path / f"{name}.jsonl")

    tokenizer = tiny_tokenizer()
    save_causal_lm(tmp_path / "base", tiny_model(tokenizer, layers=2), tokenizer)
    arguments = ["distill", write("train", 18, 0), "--prompt", "prompt", "--test", write("test", 6, 100)]
    arguments += ["--unlabelled", write("more", 6, 200), "--teacher", "recorded:said", "--layers", "1"]
    options = [f"student.base={tmp_path / 'base'}", "training.least_steps=4", "training.num_epochs=1"]
    options += [
        "teacher.max_new_tokens=8",
        "data.leakage=keep",
        "training.precision=fp32",
        "gguf=none",
        "baseline=false",
    ]
    for option in options:
        arguments += ["--set", option]
    arguments += ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store"), "--json", "--quiet"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["signal"] == "text" and found["gguf"] is None
    assert found["teacher"]["exact_match"] == 1 and found["teacher"]["perplexity"] is None
    assert found["student"]["kl"] is None and found["student"]["perplexity"] > 1
    assert main([*arguments, "--set", "training.signal=top_k", "--out", str(tmp_path / "other")]) == 2
    assert "text alone" in capsys.readouterr().err


def in_letters(text, number, with_logprobs=True):
    """A chat API whose tokens are single letters, which no student of ours has for all words."""
    answer = KINDS[int(text.split()[-1]) % 3]
    content = [
        {
            "token": letter,
            "logprob": math.log(0.7),
            "top_logprobs": [{"token": other, "logprob": math.log(p)} for other, p in ((letter, 0.7), ("q", 0.2))],
        }
        for letter in answer
    ]
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
    if with_logprobs:
        choice["logprobs"] = {"content": content}
    return 200, {}, {"choices": [choice]}


@pytest.fixture
def rows(tmp_path):
    for name, count, start in (("train", 18, 0), ("test", 6, 100), ("unlabelled", 9, 200)):
        listed = [{"prompt": f"{TEXTS[i % 5]} {i}", "answer": KINDS[i % 3]} for i in range(start, start + count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    tokenizer = tiny_tokenizer([*TEXTS, *KINDS])
    save_causal_lm(tmp_path / "base", tiny_model(tokenizer, layers=2), tokenizer)
    return tmp_path


def recipe(folder, url, top_logprobs=4, **training):
    named = {name: str(folder / f"{name}.jsonl") for name in ("train", "test", "unlabelled")}
    teacher = {"kind": "openai", "model": "big", "base_url": url, "top_logprobs": top_logprobs, "max_new_tokens": 30}
    options = {"least_steps": 4, "num_epochs": 1, "precision": "fp32", "signal": "top_k", **training}
    return build_generative(
        {
            "data": {**named, "leakage": "keep"},
            "teacher": teacher,
            "student": {"layers": 1, "base": str(folder / "base")},
            "training": options,
            "gguf": "none",
            "baseline": False,
        }
    )


def test_a_student_learns_by_rank_from_an_api_with_other_tokens(rows, tmp_path):
    with Server(in_letters) as server:
        made = recipe(rows, server.url, loss="universal_logit")
        found = run_generative(made, tmp_path / "run", store=tmp_path / "store").result
        assert len(server.asked) == 9 + 6
    compared = found["compared"]
    assert found["signal"] == "top_k" and found["teacher"]["exact_match"] == 1
    # Every token of the student begins where a letter does, so all of them are compared, their ends too.
    assert compared == {"num_rows": 9, "num_compared": 9, "token_share": 1.0}
    assert found["student"]["kl"] is None and found["student"]["perplexity"] > 1
    assert "100.0 %" in (tmp_path / "run" / "report" / "report.md").read_text("utf-8")


def test_a_test_answer_without_logprobs_is_judged_by_its_text(rows, tmp_path):
    def behave(text, number):
        return in_letters(text, number, with_logprobs=int(text.split()[-1]) >= 200)

    with Server(behave) as server:
        made = recipe(rows, server.url, loss="universal_logit")
        found = run_generative(made, tmp_path / "run", store=tmp_path / "store").result
    assert found["teacher"]["exact_match"] == 1 and found["compared"]["num_compared"] == 9


def test_recorded_log_probabilities_teach_by_rank_where_there_are_any(rows, tmp_path):
    for name in ("test", "unlabelled"):
        listed = [json.loads(line) for line in (rows / f"{name}.jsonl").read_text().splitlines()]
        for i, row in enumerate(listed):
            choice = in_letters(row["prompt"], 0)[2]["choices"][0]
            row |= {"said": choice["message"]["content"], "sure": choice["logprobs"] if i % 3 else None}
        (rows / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    values = recipe(rows, "http://127.0.0.1/v1", loss="universal_logit").to_json()
    del values["kind"]
    spec = {"kind": "recorded", "column": "said", "max_new_tokens": 30}
    made = build_generative({**values, "teacher": {**spec, "logprobs": "sure"}})
    found = run_generative(made, tmp_path / "run", store=tmp_path / "store").result
    assert found["signal"] == "top_k" and found["teacher"]["exact_match"] == 1
    assert found["compared"] == {"num_rows": 6, "num_compared": 6, "token_share": 1.0}
    with pytest.raises(ConfigurationError, match=r"teacher\.logprobs"):
        build_generative({**values, "teacher": spec})


def test_an_api_with_other_tokens_or_without_logprobs_is_said_before_training(rows, tmp_path):
    with Server(in_letters) as server, pytest.raises(DataError, match=r"another tokenizer.*universal_logit.*\(9\)"):
        run_generative(recipe(rows, server.url), tmp_path / "by-id", store=tmp_path / "store")
    silent = Server(lambda text, number: in_letters(text, number, with_logprobs=False))
    with silent as server, pytest.raises(DataError, match=r"log-probabilities are missing.*top_logprobs=0.*\(9\)"):
        run_generative(recipe(rows, server.url, loss="universal_logit"), tmp_path / "run", store=tmp_path / "store")
    with pytest.raises(ConfigurationError, match=r"without teacher\.top_logprobs"):
        recipe(rows, "http://127.0.0.1/v1", 0, loss="universal_logit")
    assert recipe(rows, "http://127.0.0.1/v1", 0, loss="universal_logit", signal="text").teacher.top_logprobs == 0
