"""The loop on a toy task: resume from every step must give the same bits, and a broken restore must not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from potstill.errors import CheckpointError, PreemptedError
from potstill.students.base import StudentOutput
from potstill.training import loop
from potstill.training.loop import DivergedError, Plan, rate_factor, train
from potstill.training.snapshots import list_snapshots, load_snapshot
from potstill.training.task import Score, StepLoss
from potstill.types import Silent


class ToyTask:
    """Regression with dropout, so that randomness matters."""

    def __init__(self):
        torch.manual_seed(0)
        self.trainable = nn.ModuleDict(
            {"student": nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 1))}
        )
        self.inputs = torch.randn(40, 4)
        self.targets = self.inputs.sum(1, keepdim=True)
        self.lengths = np.ones(40, np.int64)

    def loss(self, positions_B, step):
        said = self.trainable["student"](self.inputs[positions_B])
        total = (said - self.targets[positions_B]).square().sum()
        right = int(((said > 0) == (self.targets[positions_B] > 0)).sum())
        return StepLoss(total, {"mse": total}, StudentOutput(said, said), right, len(positions_B))

    def score(self):
        self.trainable.eval()
        with torch.no_grad():
            score = float((self.trainable["student"](self.inputs) - self.targets).square().mean())
        self.trainable.train()
        return Score(score)


class DriftingTask(ToyTask):
    """Scores its distance from the start, so that the first evaluation is the best one."""

    def __init__(self):
        super().__init__()
        self.start = weights(self)

    def score(self):
        return Score(float((weights(self) - self.start).norm()))


class StopAfter:
    """Progress that asks to stop after some steps."""

    def __init__(self, steps):
        self.left = steps

    def stage(self, name, total=None):
        pass

    def say(self, message):
        pass

    def advance(self, count=1):
        self.left -= count
        if self.left <= 0:
            raise PreemptedError("stop")


PLAN = Plan(num_steps=24, batch_size=8, learning_rate=0.05, evaluate_every=5, patience=None)


def weights(task):
    return torch.cat([p.detach().flatten() for p in task.trainable.parameters()])


def uninterrupted(tmp_path, plan=PLAN, task_class=ToyTask):
    task = task_class()
    state = train(task, plan, folder=tmp_path / "whole", progress=Silent())
    return weights(task), state


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("stop", range(1, 24, 2))
def test_resume_is_bit_identical(tmp_path, stop, optimizer):
    plan = replace(PLAN, optimizer=optimizer)
    expected, expected_state = uninterrupted(tmp_path, plan)
    with pytest.raises(PreemptedError):
        train(ToyTask(), plan, folder=tmp_path / "cut", progress=StopAfter(stop))
    resumed = ToyTask()
    state = train(resumed, plan, folder=tmp_path / "cut", progress=Silent())
    assert torch.equal(weights(resumed), expected)
    assert state == expected_state


@pytest.mark.parametrize("broken", ["optimizer", "step", "best"])
def test_a_broken_restore_is_noticed(tmp_path, monkeypatch, broken):
    """The proof that the test above can fail: forget one part of the state and the bits differ."""
    expected, expected_state = uninterrupted(tmp_path, task_class=DriftingTask)
    with pytest.raises(PreemptedError):
        train(DriftingTask(), PLAN, folder=tmp_path / "cut", progress=StopAfter(11))
    original = loop._Run.restore

    def forget(run):
        original(run)
        if broken == "optimizer":
            run.optimizer.state.clear()
        elif broken == "step":
            run.state.step -= 1
        else:
            run.best, run.state.best_score = None, math.inf

    monkeypatch.setattr(loop._Run, "restore", forget)
    resumed = DriftingTask()
    state = train(resumed, PLAN, folder=tmp_path / "cut", progress=Silent())
    assert not torch.equal(weights(resumed), expected) or state != expected_state


def test_a_finished_training_is_loaded_not_repeated(tmp_path):
    expected, _ = uninterrupted(tmp_path)
    again = ToyTask()
    train(again, PLAN, folder=tmp_path / "whole", progress=StopAfter(1))
    assert torch.equal(weights(again), expected)


def test_another_plan_is_refused(tmp_path):
    uninterrupted(tmp_path)
    other = Plan(num_steps=25, batch_size=8, learning_rate=0.05, evaluate_every=5)
    with pytest.raises(CheckpointError, match="another plan"):
        train(ToyTask(), other, folder=tmp_path / "whole", progress=Silent())


def test_the_best_weights_on_dev_are_kept(tmp_path):
    plan = Plan(num_steps=40, batch_size=8, learning_rate=0.3, evaluate_every=2, patience=2)
    task = ToyTask()
    state = train(task, plan, folder=tmp_path, progress=Silent())
    assert task.score().nats == pytest.approx(state.best_score)
    assert state.best_score == min(score for _, _, score in state.curve)


def test_memory_that_runs_out_halves_the_piece_and_keeps_the_gradient(tmp_path):
    class Hungry(ToyTask):
        def loss(self, positions_B, step):
            if len(positions_B) > 3:
                raise torch.OutOfMemoryError("out of memory")
            return super().loss(positions_B, step)

    plan = Plan(num_steps=3, batch_size=8, learning_rate=0.05, evaluate_every=1)
    hungry, fed = Hungry(), ToyTask()
    for task in (hungry, fed):
        task.trainable["student"][1].p = 0.0  # masks differ between pieces; the sum of gradients must not
    state = train(hungry, plan, folder=tmp_path / "a", progress=Silent())
    train(fed, plan, folder=tmp_path / "b", progress=Silent())
    assert state.micro_batch == 2
    torch.testing.assert_close(weights(hungry), weights(fed))


def test_a_loss_that_is_no_number_stops_with_advice(tmp_path):
    class Broken(ToyTask):
        def loss(self, positions_B, step):
            result = super().loss(positions_B, step)
            return result._replace(total=result.total * (math.nan if step == 3 else 1.0))

    with pytest.raises(DivergedError, match=r"step 3.*learning_rate"):
        train(Broken(), PLAN, folder=tmp_path, progress=Silent())


def test_the_rate_rises_and_falls():
    factors = [rate_factor(step, PLAN) for step in range(PLAN.num_steps)]
    assert factors[0] == 1.0  # 6 % of 24 steps is one step of warm-up
    assert factors[-1] < 0.05
    assert factors == sorted(factors, reverse=True)


def test_what_was_right_in_training_is_counted_row_by_row(tmp_path):
    class Known(ToyTask):
        def loss(self, positions_B, step):
            right = int((positions_B < 10).sum()) if step >= 5 else 0
            return super().loss(positions_B, step)._replace(num_right=right)

        def score(self):
            return Score(1.0, 0.25)

    plan = Plan(num_steps=10, batch_size=8, learning_rate=0.05, evaluate_every=5)
    state = train(Known(), plan, folder=tmp_path, progress=Silent())
    # Five steps of eight rows are the forty rows once.
    assert state.accuracies == [(0.0, 0.25), (0.25, 0.25)]


def test_snapshots_are_the_weights_of_the_last_evaluations(tmp_path):
    plan = replace(PLAN, num_snapshots=2)
    with pytest.raises(PreemptedError):
        train(ToyTask(), plan, folder=tmp_path, progress=StopAfter(17))
    train(ToyTask(), plan, folder=tmp_path, progress=Silent())
    found = list_snapshots(tmp_path)
    assert list(found) == [20, 24]
    shorter = ToyTask()
    train(shorter, replace(PLAN, stop_after=20, evaluate_every=20), folder=tmp_path / "to 20", progress=Silent())
    for name, weight in load_snapshot(found[20]).items():
        assert torch.equal(weight, shorter.trainable.state_dict()[name])


def test_a_damaged_snapshot_says_what_to_do(tmp_path):
    train(ToyTask(), replace(PLAN, num_snapshots=1), folder=tmp_path, progress=Silent())
    (path,) = list_snapshots(tmp_path).values()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="Remove it"):
        load_snapshot(path)
