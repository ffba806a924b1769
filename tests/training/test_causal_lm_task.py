import numpy as np
import pytest
import torch

from potstill.errors import ConfigurationError
from potstill.losses.tokens import SparseTarget
from potstill.training import causal_lm_task, lower_layers
from potstill.training.causal_lm_task import CausalLmTask
from potstill.training.chat_rows import ChatRow
from potstill.training.loop import Plan, train
from potstill.types import Silent
from tests.lm import Interrupting, tiny_model, tiny_tokenizer


@pytest.fixture
def model():
    return tiny_model(tiny_tokenizer(), layers=2)


ROWS = [
    ChatRow(prompt=[5, 6, 7], answer=[8, 9, 2]),
    ChatRow(prompt=[5], answer=[10, 2]),
    ChatRow(prompt=[6, 7], answer=[11]),
]


def dense_nats(model, row):
    ids = torch.tensor([[*row.prompt, *row.answer]])
    logprobs = model(ids).logits[0].log_softmax(-1)
    places = torch.arange(len(row.prompt) - 1, ids.shape[1] - 1)
    return -logprobs[places, ids[0, len(row.prompt) :]].sum()


def test_prompts_are_masked_and_labels_shifted_once(model):
    task = CausalLmTask(model, ROWS, dev=ROWS)
    wanted = sum(dense_nats(model, row) for row in ROWS)
    total = task.loss(np.arange(3), 0).total * 2  # the mean answer has 2 tokens
    torch.testing.assert_close(total, wanted)
    assert task.score().nats == pytest.approx(float(wanted.detach()) / 6, rel=1e-5)


@pytest.mark.parametrize("group", [256, 4])
def test_tokens_that_are_right_are_counted(model, monkeypatch, group):
    monkeypatch.setattr(causal_lm_task, "SCORE_GROUP", group)
    rows = []
    for row in ROWS:
        said = list(row.prompt)
        for _ in row.answer:  # what the model itself finds most probable, and the last token wrong
            said.append(int(model(torch.tensor([said])).logits[0, -1].argmax()))
        rows.append(ChatRow(prompt=row.prompt, answer=[*said[len(row.prompt) : -1], (said[-1] + 1) % 20]))
    task = CausalLmTask(model, rows, dev=rows)
    found = task.loss(np.arange(3), 0)
    assert (found.num_right, found.num_judged) == (3, 6)
    assert task.score().accuracy == pytest.approx(3 / 6)


def test_gradient_is_that_of_the_dense_loss(model):
    task = CausalLmTask(model, ROWS, dev=ROWS)
    (sum(dense_nats(model, row) for row in ROWS) / 2).backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    task.loss(np.arange(3), 0).total.backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, wanted[name], atol=1e-5, rtol=1e-4)


def test_tuning_above_frozen_layers_is_the_same_loss_with_the_upper_gradients(model, monkeypatch):
    CausalLmTask(model, ROWS, dev=ROWS).loss(np.arange(3), 0).total.backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    for largest in (1 << 30, 0):  # the states kept, and computed in every step
        monkeypatch.setattr(lower_layers, "LARGEST_KEPT_BYTES", largest)
        model.zero_grad()
        task = CausalLmTask(model, ROWS, dev=ROWS, num_frozen=1)
        task.loss(np.arange(3), 0).total.backward()
        assert task.score().nats == pytest.approx(
            float(sum(dense_nats(model, row) for row in ROWS).detach()) / 6, rel=1e-5
        )
        for name, p in model.named_parameters():
            if name.startswith(("model.layers.1.", "model.norm")):
                torch.testing.assert_close(p.grad, wanted[name], atol=1e-5, rtol=1e-4)
            else:
                assert p.grad is None and not p.requires_grad, name


def test_one_layer_must_be_tuned(model):
    with pytest.raises(ConfigurationError, match="one must be tuned"):
        CausalLmTask(model, ROWS, dev=[], num_frozen=2)


def test_a_loss_does_not_depend_on_how_its_rows_are_cut(model):
    task = CausalLmTask(model, ROWS, dev=ROWS)
    whole = task.loss(np.arange(3), 0).total
    parts = sum(task.loss(np.array([i]), 0).total for i in range(3))
    torch.testing.assert_close(whole, parts)


def test_a_student_that_says_what_its_teacher_said_has_nothing_to_learn(model):
    row = ROWS[0]
    with torch.no_grad():
        logprobs = model(torch.tensor([[*row.prompt, *row.answer]])).logits[0].log_softmax(-1)[2:-1]
    top = logprobs.topk(8)
    tail = torch.log1p(-top.values.exp().sum(-1))
    soft = ChatRow(
        prompt=row.prompt, answer=row.answer, target=SparseTarget(indices=top.indices, logprobs=top.values, tail=tail)
    )
    task = CausalLmTask(model, [soft], dev=[])
    found = task.loss(np.array([0]), 0).total
    assert float(found.detach()) == pytest.approx(0, abs=1e-5)
    found.backward()
    assert all(float(p.grad.abs().max()) < 1e-4 for p in model.parameters() if p.grad is not None)
    assert np.isnan(task.score().nats)


@pytest.mark.parametrize("num_frozen", [0, 1])
def test_a_killed_training_goes_on_to_the_same_weights(model, tmp_path, num_frozen):
    plan = Plan(num_steps=6, batch_size=2, learning_rate=1e-2, evaluate_every=3, checkpoint_every_s=0.0)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(CausalLmTask(model, ROWS, dev=ROWS, num_frozen=num_frozen), plan, folder=tmp_path / "a", progress=Silent())
    whole = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    model.load_state_dict(start)
    with pytest.raises(KeyboardInterrupt):
        train(
            CausalLmTask(model, ROWS, dev=ROWS, num_frozen=num_frozen),
            plan,
            folder=tmp_path / "b",
            progress=Interrupting(4),
        )
    model.load_state_dict(start)
    state = train(
        CausalLmTask(model, ROWS, dev=ROWS, num_frozen=num_frozen), plan, folder=tmp_path / "b", progress=Silent()
    )
    assert state.step == 6
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, whole[name]), name


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_rows_do_not_see_each_other(model, attention):
    model.set_attn_implementation(attention)
    found = {}
    for packs in (False, True):
        model.zero_grad()
        task = CausalLmTask(model, ROWS, dev=ROWS, packs=packs)
        total = task.loss(np.arange(3), 0).total
        total.backward()
        found[packs] = (total.detach(), task.score().nats, {n: p.grad.clone() for n, p in model.named_parameters()})
    torch.testing.assert_close(found[True][0], found[False][0])
    assert found[True][1] == pytest.approx(found[False][1], rel=1e-5)
    for name, gradient in found[True][2].items():
        torch.testing.assert_close(gradient, found[False][2][name], atol=1e-5, rtol=1e-4)
