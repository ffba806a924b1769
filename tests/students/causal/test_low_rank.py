import pytest
import torch

from potstill.students.causal import load_causal_lm, save_causal_lm
from potstill.students.causal.low_rank import add_low_rank, merge_low_rank
from tests.lm import tiny_model, tiny_tokenizer

IDS = torch.tensor([[5, 6, 7, 8]])


def test_only_the_changes_learn_and_merging_keeps_what_the_model_says(tmp_path):
    pytest.importorskip("peft", reason="peft is not installed (potstill[lora])")
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, layers=2)
    before, names = model(IDS).logits.detach(), list(model.state_dict())
    changes = add_low_rank(model, 2)
    torch.testing.assert_close(model(IDS).logits, before)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert learned and all("lora_" in name for name in learned)
    for p in learned.values():
        p.data.normal_(std=0.3)
    said = model(IDS).logits.detach()
    assert not torch.allclose(said, before)
    merged = merge_low_rank(changes)
    assert list(merged.state_dict()) == names
    torch.testing.assert_close(merged(IDS).logits, said, atol=1e-4, rtol=1e-4)
    save_causal_lm(tmp_path / "model", merged, tokenizer, dtype=torch.float32)
    torch.testing.assert_close(load_causal_lm(tmp_path / "model")[0](IDS).logits, said, atol=1e-4, rtol=1e-4)
