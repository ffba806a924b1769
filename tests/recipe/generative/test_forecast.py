import json
from dataclasses import replace

import pytest

from potstill.errors import ConfigurationError, TeacherUnavailableError
from potstill.recipe.generative.forecast import forecast_generative
from potstill.recipe.generative.load import build_generative
from potstill.recipe.generative.recipe import CausalCut
from potstill.recipe.generative.shape import PACKAGED, shape_of
from potstill.students.causal import cut_causal_lm, measure_importance, prune_causal_width, save_causal_lm
from potstill.students.causal.low_rank import add_low_rank
from tests.lm import TEXTS, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast")
    for name, count, start in (("train", 60, 0), ("test", 20, 100), ("unlabelled", 90, 200)):
        listed = [
            {"prompt": f"{i} {' '.join(TEXTS[i % 5] for _ in range(1 + i % 7))}", "answer": TEXTS[(i + 1) % 5]}
            for i in range(start, start + count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    return folder


@pytest.fixture
def found(folder):
    def forecast(*overrides, **sections):
        data = {name: str(folder / f"{name}.jsonl") for name in ("train", "test", "unlabelled")}
        values = {"data": {**data, "leakage": "keep"}, **sections}
        values["training"] = {"precision": "bf16", "signal": "top_k", **values.get("training", {})}
        return forecast_generative(build_generative(values, overrides))

    return forecast


MORE = {
    "training.signal=auto": ("seconds.student", "seconds.control", "disk_bytes", "memory_bytes"),
    "training.on_policy=0.5": ("seconds.student", "memory_bytes"),
    "training.stored=hidden": ("seconds.student", "memory_bytes", "disk_bytes"),
    "training.loss=universal_logit": ("seconds.student",),
    "training.top_k=64": ("memory_bytes", "disk_bytes"),
    "training.precision=fp32": ("seconds.tuning", "seconds.asking", "seconds.student", "seconds.judging"),
    "student.layers=16": ("student_parameters", "seconds.student", "seconds.judging", "memory_bytes", "disk_bytes"),
    "student.trim_vocabulary=false": ("student_parameters", "seconds.student", "memory_bytes", "disk_bytes"),
    "teacher.num_epochs=8": ("seconds.tuning",),
}
LESS = {
    "training.signal=text": ("memory_bytes",),
    "training.packing=true": ("seconds.student", "seconds.control"),
    "student.lora_rank=8": ("seconds.student", "seconds.control"),
    "student.groups=1": ("student_parameters", "seconds.student"),
    "student.feed_forward=256": ("student_parameters", "seconds.student", "disk_bytes"),
    "teacher.tuned_layers=4": ("seconds.tuning", "memory_bytes"),
    "teacher.tune=false": ("seconds.tuning", "disk_bytes", "memory_bytes"),
    "gguf=none": ("disk_bytes",),
}


def figure(forecast, name):
    first, _, second = name.partition(".")
    value = getattr(forecast, first)
    return value[second] if second else value


# Tuning all of the teacher takes most memory, and would hide what the student's part does.
NO_TUNING = "teacher.tune=false"


CASES = [(o, n, 1) for o, n in MORE.items()] + [(o, n, -1) for o, n in LESS.items()]


@pytest.mark.parametrize(("option", "names", "sign"), CASES)
def test_every_option_moves_what_it_costs(found, option, names, sign):
    base = [] if option.startswith("teacher") or "precision" in option else [NO_TUNING]
    before, after = found(*base), found(*base, option)
    for name in names:
        assert sign * (figure(after, name) - figure(before, name)) > 0, name
    # What an option doesn't touch stays where it was.
    assert after.teacher_rows == before.teacher_rows == 90 and after.prompt_tokens == before.prompt_tokens


def test_more_of_an_option_costs_more(found):
    seconds = [found(NO_TUNING, f"training.on_policy={share}").seconds["student"] for share in (0.0, 0.25, 1.0)]
    assert seconds == sorted(seconds) and len(set(seconds)) == 3
    draws, alternatives = (
        found(NO_TUNING, f"training.stored={kind}", "training.top_k=12").disk_bytes for kind in ("sampled", "top_k")
    )
    assert draws < alternatives
    learned = [found(NO_TUNING, f"student.lora_rank={rank}", "student.layers=30").memory_bytes for rank in (0, 64, 8)]
    assert learned[0] > learned[1] > learned[2]
    assert sum(found().seconds.values()) == pytest.approx(found().cpu_seconds, abs=0.1)


def test_another_base_stands_beside_the_teacher(found, folder, tmp_path):
    tokenizer = tiny_tokenizer()
    save_causal_lm(tmp_path / "base", tiny_model(tokenizer, layers=2), tokenizer)
    alone = found(NO_TUNING)
    beside = found(NO_TUNING, f"student.base={tmp_path / 'base'}", "student.layers=2")
    assert beside.student_parameters < alone.student_parameters / 100
    assert beside.seconds["asking"] == alone.seconds["asking"] > 0
    with pytest.raises(TeacherUnavailableError, match="no model"):
        found("teacher.model=nowhere")


def test_an_api_costs_calls_tokens_and_money(found):
    spec = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    spec |= {"price_input": 1.0, "price_output": 2.0}
    plain = found(teacher=spec, training={"signal": "auto"})
    assert plain.teacher_calls == 90 + 20 and plain.teacher_tokens > plain.prompt_tokens > 0
    assert plain.seconds["tuning"] == plain.seconds["asking"] == 0 and not plain.over_budget
    assert 0 < plain.teacher_cost < 2 * plain.teacher_tokens / 1e6
    wordy = found(teacher={**spec, "instructions": "Be brief. " * 20, "max_cost": plain.teacher_cost})
    assert wordy.teacher_cost > plain.teacher_cost and wordy.over_budget == ["teacher.max_cost"]
    assert "over budget: teacher.max_cost" in wordy.text() and "calls: 110" in wordy.text()
    told = found(teacher={**spec, "top_logprobs": 16, "max_calls": 50}, training={"signal": "auto"})
    assert told.seconds["student"] > 1.9 * plain.seconds["student"] and told.over_budget == ["teacher.max_calls"]
    assert found(teacher={"kind": "recorded", "column": "answer"}, training={"signal": "text"}).teacher_calls == 0


def counted(model):
    norms = sum(p.numel() for name, p in model.named_parameters() if "norm" in name)
    return sum(p.numel() for p in model.parameters()) - norms


def test_sizes_are_those_of_the_models(tmp_path):
    tokenizer = tiny_tokenizer()
    for tied in (True, False):
        model = tiny_model(tokenizer, layers=4, tied=tied)
        save_causal_lm(tmp_path / "model", model, tokenizer)
        shape = shape_of(tmp_path / "model")
        assert shape.parameters == counted(model)
    cut = cut_causal_lm(model, layers=(0, 1))
    spec = CausalCut(layers=2, trim_vocabulary=False)
    assert shape.cut(spec, 7).parameters == counted(cut)
    assert shape.cut(CausalCut(layers=2), 7).vocabulary == 7
    importance = measure_importance(cut, [dict(tokenizer(TEXTS[:1], return_tensors="pt"))])
    narrow = prune_causal_width(cut, importance, num_groups=1, feed_forward=24)
    assert shape.cut(replace(spec, groups=1, feed_forward=24), 7).parameters == counted(narrow)
    assert PACKAGED.parameters == pytest.approx(134.5e6, rel=0.01)
    pytest.importorskip("peft", reason="peft is not installed (potstill[lora])")
    learned = sum(p.numel() for p in add_low_rank(cut, 3).parameters() if p.requires_grad)
    assert shape.cut(spec, 7).low_rank(3) == learned


def test_a_gguf_file_says_it_too(tmp_path):
    pytest.importorskip("gguf")
    from potstill.exporters.gguf import export_gguf

    tokenizer = tiny_tokenizer()
    save_causal_lm(tmp_path / "model", tiny_model(tokenizer, tied=False), tokenizer)
    export_gguf(tmp_path / "model", tmp_path / "model.gguf", "f16")
    assert shape_of(tmp_path / "model.gguf") == shape_of(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="how large"):
        shape_of(tmp_path / "model")
