import json

from potstill.cli.main import main
from potstill.students.causal import save_causal_lm
from tests.lm import TEXTS, tiny_model, tiny_tokenizer


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
