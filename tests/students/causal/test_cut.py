import json

import pytest
import torch

from potstill.errors import ConfigurationError, TeacherUnavailableError
from potstill.students.causal import (
    cut_causal_lm,
    load_causal_lm,
    load_tokenizer,
    map_layers,
    measure_importance,
    prune_causal_width,
    save_causal_lm,
    trim_tokenizer,
)
from tests.lm import TEXTS, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    return tiny_model(tokenizer)


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0]


def batches(tokenizer):
    return [dict(tokenizer(TEXTS[:3], padding=True, return_tensors="pt"))]


def test_layer_maps():
    assert map_layers(30, 8) == tuple(range(8))
    assert map_layers(30, 8, "even") == (0, 4, 8, 12, 17, 21, 25, 29)
    assert map_layers(5, 5, "even") == map_layers(5, 5) == (0, 1, 2, 3, 4)
    with pytest.raises(ConfigurationError, match="the teacher has 5"):
        map_layers(5, 6)


@pytest.mark.parametrize("tied", [True, False])
def test_a_trimmed_vocabulary_gives_the_old_logits_of_what_stayed(tokenizer, tied):
    model = tiny_model(tokenizer, tied=tied, padded=13)
    small_tokenizer, old_ids = trim_tokenizer(tokenizer, TEXTS[:2])
    small = cut_causal_lm(model, old_ids=old_ids, tokenizer=small_tokenizer)
    assert small.config.vocab_size == len(old_ids) == len(small_tokenizer)
    assert (small.lm_head.weight.data_ptr() == small.model.embed_tokens.weight.data_ptr()) == tied
    assert small.config.eos_token_id == small_tokenizer.eos_token_id
    old, new = tokenizer.encode(TEXTS[0]), small_tokenizer.encode(TEXTS[0])
    torch.testing.assert_close(logits(model, old)[:, old_ids], logits(small, new))


def test_dropped_layers_are_those_of_the_map(tokenizer, model):
    cut = cut_causal_lm(model, layers=(0, 2))
    assert cut.config.num_hidden_layers == 2
    for new, old in enumerate((0, 2)):
        for name, weight in cut.model.layers[new].state_dict().items():
            assert torch.equal(weight, model.model.layers[old].state_dict()[name])
    before = model.model.layers[0].mlp.up_proj.weight.clone()
    with torch.no_grad():
        cut.model.layers[0].mlp.up_proj.weight.add_(1)
    assert torch.equal(before, model.model.layers[0].mlp.up_proj.weight)
    for bad in ((), (2, 0), (0, 3), (0, 0)):
        with pytest.raises(ConfigurationError, match="name layers from 0 to 2"):
            cut_causal_lm(model, layers=bad)


def test_what_is_no_llama_is_refused():
    with pytest.raises(ConfigurationError, match="can't be cut"):
        cut_causal_lm(torch.nn.Linear(2, 2))


def test_a_tokenizer_of_another_model_is_refused(tokenizer):
    small_tokenizer, _ = trim_tokenizer(tokenizer, TEXTS[:1])
    other = tiny_model(small_tokenizer)
    _, old_ids = trim_tokenizer(tokenizer, TEXTS[:2])
    with pytest.raises(ConfigurationError, match="don't belong together"):
        cut_causal_lm(other, old_ids=old_ids, tokenizer=small_tokenizer)


@pytest.mark.parametrize("tied", [True, False])
def test_a_saved_folder_gives_the_same_answers(tokenizer, tmp_path, tied):
    small_tokenizer, old_ids = trim_tokenizer(tokenizer, TEXTS[:2])
    small = cut_causal_lm(tiny_model(tokenizer, tied=tied), layers=(0, 1), old_ids=old_ids, tokenizer=small_tokenizer)
    for _ in range(2):  # the second time it replaces the first
        save_causal_lm(tmp_path / "student", small, small_tokenizer, dtype=torch.float32)
    again, again_tokenizer = load_causal_lm(tmp_path / "student")
    assert load_tokenizer(tmp_path / "student").get_vocab() == again_tokenizer.get_vocab()
    ids = again_tokenizer.encode(TEXTS[0])
    assert ids == small_tokenizer.encode(TEXTS[0])
    torch.testing.assert_close(logits(small, ids), logits(again, ids), rtol=0, atol=0)
    save_causal_lm(tmp_path / "half", small, small_tokenizer)
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_of_something_else_says_what_it_should_hold(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TeacherUnavailableError, match="and safetensors weights"):
        load_causal_lm(tmp_path)
    with pytest.raises(TeacherUnavailableError):
        load_tokenizer(tmp_path)


def test_width_that_stays_whole_changes_nothing_and_silent_parts_go_first(tokenizer, model):
    silent = cut_causal_lm(model)
    with torch.no_grad():
        for layer in silent.model.layers:
            layer.self_attn.v_proj.weight[8:].zero_()  # the second of two groups says nothing
            layer.mlp.up_proj.weight[::2].zero_()
    importance = measure_importance(silent, batches(tokenizer))
    narrow = prune_causal_width(silent, importance, num_groups=1, feed_forward=24)
    assert (narrow.config.num_attention_heads, narrow.config.num_key_value_heads) == (2, 1)
    ids = tokenizer.encode(TEXTS[0])
    torch.testing.assert_close(logits(narrow, ids), logits(silent, ids))
    assert sum(p.numel() for p in narrow.parameters()) < sum(p.numel() for p in silent.parameters())


def test_padding_has_no_say_in_importance(tokenizer, model):
    batch = batches(tokenizer)[0]
    alone = measure_importance(model, [dict(tokenizer([text], return_tensors="pt")) for text in TEXTS[:3]])
    together = measure_importance(model, [batch])
    assert int((batch["attention_mask"] == 0).sum()) > 0
    torch.testing.assert_close(together.units[0], alone.units[0])
    torch.testing.assert_close(together.groups[-1], alone.groups[-1])


def test_width_asks_for_sense(tokenizer, model):
    importance = measure_importance(model, batches(tokenizer))
    with pytest.raises(ConfigurationError, match="num_groups is 3; the model has 2"):
        prune_causal_width(model, importance, num_groups=3)
    with pytest.raises(ConfigurationError, match="without text"):
        measure_importance(model, [])


def test_a_cut_student_learns_everywhere(tokenizer, model):
    small_tokenizer, old_ids = trim_tokenizer(tokenizer, TEXTS)
    small = cut_causal_lm(model, layers=(0,), old_ids=old_ids, tokenizer=small_tokenizer).train()
    ids = torch.tensor([small_tokenizer.encode(TEXTS[0])])
    small(input_ids=ids, labels=ids).loss.backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in small.parameters())
