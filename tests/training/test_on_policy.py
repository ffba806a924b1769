import numpy as np
import pytest
import torch

from potstill.losses.tokens import ForwardKL, JensenShannon, ReverseKL, SparseTarget
from potstill.students.causal import cut_causal_lm
from potstill.training.causal_lm_task import CausalLmTask
from potstill.training.chat_rows import ChatRow
from potstill.training.loop import Plan, train
from potstill.training.on_policy import OnPolicy
from potstill.types import Silent
from tests.lm import Interrupting, tiny_model, tiny_tokenizer

END = 2


@pytest.fixture
def teacher():
    return tiny_model(tiny_tokenizer(), layers=2)


@pytest.fixture
def student():
    return tiny_model(tiny_tokenizer(), layers=1, seed=1)


def told(prompt, answer):
    """A row that the teacher answered; its stored alternatives are of no matter here."""
    kept = torch.tensor([[token] for token in answer])
    target = SparseTarget(indices=kept, logprobs=torch.full(kept.shape, -0.7), tail=torch.full((len(answer),), -0.7))
    return ChatRow(prompt=prompt, answer=answer, target=target)


ROWS = [told([5, 6, 7], [8, END]), told([5, 9], [10, 11, END]), ChatRow(prompt=[6], answer=[12, END])]


def on_policy(teacher, *, share=1.0, old_ids=None):
    return OnPolicy(teacher=teacher, old_ids=old_ids, share=share, end=END, max_new_tokens=6)


def test_it_writes_where_a_teacher_answered_and_nowhere_else(teacher):
    assert on_policy(teacher).pick(ROWS) == [True, True, False]
    assert on_policy(teacher, share=0.0).pick(ROWS) == [False, False, False]


def test_answers_are_drawn_anew_and_repeat_with_the_seed(teacher, student):
    policy = on_policy(teacher)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append([list(row.answer) for row in policy.write(student, ROWS[:2])])
    assert found[0] == found[1] != found[2]
    assert all(1 <= len(answer) <= 6 for answers in found for answer in answers)


@pytest.mark.parametrize("loss", [ForwardKL(), ReverseKL(), JensenShannon()], ids=lambda loss: loss.kind)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(teacher, loss):
    student = cut_causal_lm(teacher)
    task = CausalLmTask(student, ROWS[:2], dev=[], loss=loss, on_policy=on_policy(teacher))
    torch.manual_seed(0)
    total = task.loss(np.arange(2), 0).total
    assert float(total.detach()) == pytest.approx(0, abs=1e-5)
    total.backward()
    assert all(float(p.grad.abs().max()) < 1e-4 for p in student.parameters() if p.grad is not None)


def test_the_loss_is_the_dense_divergence_on_the_students_own_text(teacher, student):
    task = CausalLmTask(student, ROWS[:1], dev=[], on_policy=on_policy(teacher))
    torch.manual_seed(3)
    found = task.loss(np.array([0]), 0).total * 2  # the mean of the rows' own answers has 2 tokens
    torch.manual_seed(3)
    torch.rand(1)  # that picks the row
    (own,) = on_policy(teacher).write(student, ROWS[:1])
    ids = torch.tensor([[*own.prompt, *own.answer]])
    places = slice(len(own.prompt) - 1, ids.shape[1] - 1)
    student_log, teacher_log = (model(ids).logits[0, places].log_softmax(-1) for model in (student, teacher))
    torch.testing.assert_close(found, (teacher_log.exp() * (teacher_log - student_log)).sum())
    found.backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_a_trimmed_student_is_compared_over_the_tokens_that_it_has(teacher):
    old_ids = np.array([0, 1, 2, *range(5, 40)])
    student = cut_causal_lm(teacher, old_ids=old_ids, tokenizer=tiny_tokenizer())
    row = ROWS[1]
    new = {int(old): i for i, old in enumerate(old_ids)}
    rows = [told([new[i] for i in row.prompt], [new[i] for i in row.answer])]
    task = CausalLmTask(student, rows, dev=[], on_policy=on_policy(teacher, old_ids=old_ids))
    torch.manual_seed(0)
    assert float(task.loss(np.array([0]), 0).total.detach()) == pytest.approx(0, abs=1e-5)


def test_a_killed_training_writes_the_same_answers_again(teacher, student, tmp_path):
    plan = Plan(num_steps=6, batch_size=2, learning_rate=1e-2, evaluate_every=3, checkpoint_every_s=0.0)
    start = {name: tensor.clone() for name, tensor in student.state_dict().items()}

    def task():
        student.load_state_dict(start)
        return CausalLmTask(student, ROWS, dev=ROWS[2:], on_policy=on_policy(teacher, share=0.7))

    train(task(), plan, folder=tmp_path / "a", progress=Silent())
    whole = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        train(task(), plan, folder=tmp_path / "b", progress=Interrupting(4))
    train(task(), plan, folder=tmp_path / "b", progress=Silent())
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, whole[name]), name


def test_weights_that_were_cast_for_writing_still_get_gradients(teacher, student):
    task = CausalLmTask(student, ROWS, dev=[], on_policy=on_policy(teacher))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        total = task.loss(np.arange(3), 0).total
    total.backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in student.parameters())
