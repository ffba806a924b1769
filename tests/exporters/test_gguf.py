import json
import os

import numpy as np
import pytest
import torch

from potstill.errors import ConfigurationError, IntegrityError
from potstill.exporters.gguf import export_gguf
from potstill.exporters.llama_cpp import _difference, check_gguf
from potstill.students.causal import measure_importance, prune_causal_width, save_causal_lm, trim_tokenizer
from potstill.students.causal.cut import cut_causal_lm
from potstill.students.causal.pre_tokenizer import with_pre_tokenizer
from tests.lm import TEXTS, tiny_model, tiny_tokenizer

gguf = pytest.importorskip("gguf")
PROMPTS = [TEXTS[0], TEXTS[1] + "  12 345", f"<|im_start|>user\n{TEXTS[3]}<|im_end|>\n<|im_start|>assistant\n"]


@pytest.fixture(scope="module")
def tokenizer():
    return with_pre_tokenizer(tiny_tokenizer(), "smollm")


@pytest.fixture(scope="module")
def folder(tokenizer, tmp_path_factory):
    """A student with trimmed vocabulary, dropped layer and a pruned width."""
    model = tiny_model(tokenizer)
    small, old_ids = trim_tokenizer(tokenizer, PROMPTS)
    cut = cut_causal_lm(model, layers=(0, 2), old_ids=old_ids, tokenizer=small)
    importance = measure_importance(cut, [dict(small(PROMPTS[:1], return_tensors="pt"))])
    folder = tmp_path_factory.mktemp("gguf") / "student"
    narrow = prune_causal_width(cut, importance, num_groups=1, feed_forward=32)
    save_causal_lm(folder, narrow, small, dtype=torch.float32)
    return folder


def fields(path):
    reader = gguf.GGUFReader(path)
    return {name: field.contents() for name, field in reader.fields.items()}, {t.name: t for t in reader.tensors}


@pytest.mark.parametrize("quantization", ["f32", "f16", "bf16", "q8_0", "q5_1", "q4_0"])
def test_llama_cpp_reads_the_same_tokens_and_finds_the_same_ones_likely(folder, tmp_path, quantization):
    pytest.importorskip("xllamacpp")
    report = export_gguf(folder, tmp_path / "model.gguf", quantization)
    assert report["size_bytes"] == (tmp_path / "model.gguf").stat().st_size
    parity = check_gguf(tmp_path / "model.gguf", folder, PROMPTS, quantization)
    assert parity.num_prompts == 3
    if quantization in ("f32", "f16"):
        assert parity.top_1 == 1 and parity.top_5 > 0.8


@pytest.mark.parametrize("tied", [True, False])
def test_the_file_says_what_the_folder_says(tokenizer, tmp_path, tied):
    save_causal_lm(tmp_path / "hf", tiny_model(tokenizer, padded=7, tied=tied), tokenizer, dtype=torch.float32)
    report = export_gguf(tmp_path / "hf", tmp_path / "model.gguf", "q4_0")
    found, tensors = fields(tmp_path / "model.gguf")
    assert found["tokenizer.ggml.pre"] == "smollm" and found["tokenizer.chat_template"] == tokenizer.chat_template
    assert found["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    assert found["llama.attention.head_count_kv"] == 2 and found["llama.attention.key_length"] == 8
    pieces = found["tokenizer.ggml.tokens"]
    assert len(pieces) == len(tokenizer) + 7 and pieces[-1] == f"[PAD{len(tokenizer) + 6}]"
    assert pieces[: len(tokenizer)] == tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert ("output.weight" in tensors) == (not tied)
    assert tensors["token_embd.weight"].tensor_type.name == "Q8_0"
    assert tensors["blk.0.attn_q.weight"].tensor_type.name == "Q4_0"
    assert tensors["blk.0.attn_norm.weight"].tensor_type.name == "F32"
    # 48 isn't a multiple of a block of 32.
    assert tensors["blk.0.ffn_down.weight"].tensor_type.name == "F16"
    assert report["tensor_types"] == {"f32": 7, "f16": 3, "q4_0": 18, "q8_0": 1 if tied else 2}


def test_rows_of_a_head_change_places_in_pairs(tokenizer, tmp_path):
    model = tiny_model(tokenizer)
    save_causal_lm(tmp_path / "hf", model, tokenizer, dtype=torch.float32)
    export_gguf(tmp_path / "hf", tmp_path / "model.gguf", "f32")
    _, tensors = fields(tmp_path / "model.gguf")
    before = model.model.layers[0].self_attn.k_proj.weight.detach().numpy()
    after = tensors["blk.0.attn_k.weight"].data
    assert np.array_equal(after[0:8:2], before[0:4]) and np.array_equal(after[1:8:2], before[4:8])


def test_a_broken_file_is_found_out(folder, tmp_path, tokenizer):
    pytest.importorskip("xllamacpp")
    export_gguf(folder, tmp_path / "model.gguf", "f32")
    with pytest.raises(ConfigurationError, match="without prompts"):
        check_gguf(tmp_path / "model.gguf", folder, [], "f32")
    save_causal_lm(tmp_path / "other", tiny_model(tokenizer, seed=1), tokenizer, dtype=torch.float32)
    export_gguf(tmp_path / "other", tmp_path / "other.gguf", "f32")
    with pytest.raises(IntegrityError, match="they part at token"):
        check_gguf(tmp_path / "other.gguf", folder, PROMPTS, "f32")
    save_causal_lm(tmp_path / "third", tiny_model(tokenizer, seed=2), tokenizer, dtype=torch.float32)
    with pytest.raises(IntegrityError, match=r"differs from the model by .* more than 0\.02 for f32"):
        check_gguf(tmp_path / "other.gguf", tmp_path / "third", PROMPTS, "f32")


def test_what_is_hardly_ever_said_may_be_further_off():
    """Found by a sure student: rounding moved its fifth token, once in 200,000, by more than is allowed."""
    assert _difference([-0.01, -5.0, -12.0], [-0.02, -5.5, -13.0]) == pytest.approx(0.01)
    assert _difference([-0.01, -12.0], [-0.02, -3.0]) == pytest.approx(9.0)
    # Where nothing is likely, what is likeliest counts.
    assert _difference([-8.0, -8.1], [-8.2, -8.6]) == pytest.approx(0.5)


def test_what_would_become_another_model_is_refused(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="known are f32"):
        export_gguf(folder, tmp_path / "model.gguf", "q4_k")
    config = json.loads((folder / "config.json").read_text())
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        os.link(path, copy / path.name)
    (copy / "config.json").unlink()
    config["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match="the rule 'linear'"):
        export_gguf(copy, tmp_path / "model.gguf")
    assert not (tmp_path / "model.gguf").exists() and not list(tmp_path.glob(".model*"))


@pytest.mark.parametrize("kind", ["Mistral", "Qwen2", "Qwen3"])
def test_relatives_of_llama(tokenizer, tmp_path, kind):
    pytest.importorskip("xllamacpp")
    transformers = pytest.importorskip("transformers")
    named = with_pre_tokenizer(tokenizer, "qwen2") if kind != "Mistral" else tokenizer
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(named),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        eos_token_id=named.eos_token_id,
        bos_token_id=named.bos_token_id,
        pad_token_id=named.pad_token_id,
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.5)
    save_causal_lm(tmp_path / "hf", model, named, dtype=torch.float32)
    export_gguf(tmp_path / "hf", tmp_path / "model.gguf", "f32")
    assert check_gguf(tmp_path / "model.gguf", tmp_path / "hf", PROMPTS, "f32").top_1 == 1


def test_a_file_is_parsed_once(folder, tmp_path, monkeypatch):
    from potstill.students.causal import load_causal_lm

    export_gguf(folder, tmp_path / "model.gguf", "f32")
    opened = []

    class Counted(gguf.GGUFReader):
        def __init__(self, *given, **named):
            opened.append(given)
            super().__init__(*given, **named)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    model, _ = load_causal_lm(tmp_path / "model.gguf")
    assert len(opened) == 1 and gguf.GGUFReader is Counted
    again, _ = load_causal_lm(tmp_path / "model.gguf")
    assert len(opened) == 2  # a file that changed meanwhile must be seen
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
