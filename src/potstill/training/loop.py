"""The one training loop: takes a task and a plan, can be killed at any instant, and goes on bit-identically.

Nothing random is saved: the order of rows and every dropout mask are functions of (seed, step). What is saved is the
weights, the optimizer's moments, the best weights so far and a few numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from potstill.errors import CheckpointError, PotstillError, PreemptedError
from potstill.training.batches import batch_stream
from potstill.training.checkpoint import Checkpoint, load_newest, save_checkpoint
from potstill.training.device import memory_format
from potstill.training.seeds import derive_seed
from potstill.training.snapshots import keep_snapshot
from potstill.training.task import StepLoss, Task, gradient_norms
from potstill.types import IntArray, Progress

# How often the gradients of the terms are compared; often enough for a mean, rare enough to cost nothing.
NORMS_EVERY = 25


class DivergedError(PotstillError):
    """The loss or its gradient was no longer a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        num_steps: optimizer steps.
        batch_size: rows a step.
        learning_rate: peak.
        optimizer: `adamw`, or `sgd` with Nesterov momentum 0.9. Adam's steps forget how often a feature occurs, which
            a table of rare features pays for (docs/log.md).
        head_rate: factor on the learning rate of the parameters whose name starts with `head_prefix`.
        head_prefix: see `head_rate`.
        weight_decay: of the optimizer.
        warmup_share: share of the steps with a rising rate; then it falls along a cosine to 0.
        max_gradient_norm: gradients are clipped to this norm.
        evaluate_every: steps between evaluations on dev.
        patience: evaluations without a better score before it stops; None never stops early.
        stop_after: steps after which it stops, on the schedule of `num_steps`; None goes to the end.
        precision: `fp32` or `bf16` (autocast).
        channels_last: whether pictures lie in memory with their colours side by side.
        seed: of order and dropout.
        num_threads: of torch.
        checkpoint_every_s: seconds between checkpoints.
        num_snapshots: weights of the last so many evaluations stay beside the checkpoint (`training/snapshots.py`).
    """

    num_steps: int
    batch_size: int
    learning_rate: float
    optimizer: Literal["adamw", "sgd"] = "adamw"
    head_rate: float = 1.0
    head_prefix: str = "head"
    weight_decay: float = 0.01
    warmup_share: float = 0.06
    max_gradient_norm: float = 1.0
    evaluate_every: int
    patience: int | None = None
    stop_after: int | None = None
    precision: str = "fp32"
    channels_last: bool = False
    seed: int = 0
    num_threads: int = 1
    checkpoint_every_s: float = 20.0
    num_snapshots: int = 0

    def fingerprint(self) -> dict[str, Any]:
        """What a checkpoint must agree with to be continued; bit for bit the same with the same number of threads."""
        left_out = ("checkpoint_every_s", "num_threads", "num_snapshots")
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in left_out}
        return {**values, "torch": torch.__version__, "fused": True}


@dataclass(kw_only=True)
class TrainingState:
    """What has happened so far, apart from tensors.

    Attributes:
        step: steps done.
        curve: (step, mean train loss since the last evaluation, dev score).
        accuracies: of each point of the curve, share right in training since the last evaluation, and on dev; None
            where nobody counted.
        best_score: lowest dev score.
        best_step: where it was.
        num_bad: evaluations since then.
        micro_batch: rows that go through at once; halved when memory runs out.
        norms: sums of the gradient norms by term.
        num_norms: how many were summed.
        loss_sum: of the steps since the last evaluation.
        num_losses: how many were summed.
        num_right: labels or tokens that were said right in these steps.
        num_judged: of so many.
        finished: nothing is left to do.
    """

    step: int = 0
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    accuracies: list[tuple[float | None, float | None]] = field(default_factory=list)
    best_score: float = math.inf
    best_step: int = 0
    num_bad: int = 0
    micro_batch: int = 0
    norms: dict[str, float] = field(default_factory=dict)
    num_norms: int = 0
    loss_sum: float = 0.0
    num_losses: int = 0
    num_right: int = 0
    num_judged: int = 0
    finished: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON values; infinity becomes None."""
        values = dict(vars(self))
        values["best_score"] = None if math.isinf(self.best_score) else self.best_score
        values["curve"] = [[step, loss, None if math.isnan(score) else score] for step, loss, score in self.curve]
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainingState:
        """Reads what `to_json` wrote."""
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        known["best_score"] = math.inf if known["best_score"] is None else known["best_score"]
        known["curve"] = [(s, loss, math.nan if score is None else score) for s, loss, score in known["curve"]]
        known["accuracies"] = [(own, dev) for own, dev in known.get("accuracies", ())]
        return cls(**known)


def train(task: Task, plan: Plan, *, folder: Path, progress: Progress, device: str = "cpu") -> TrainingState:
    """Trains in place, up to the best weights on dev, and resumes from `folder` if it holds a checkpoint.

    Raises:
        PreemptedError: stopped on request; the state is saved.
        DivergedError: the loss is not finite.
        CheckpointError: what is in the folder belongs to another plan or is damaged throughout.
    """
    torch.set_num_threads(plan.num_threads)
    module = task.trainable.to(device).train()
    module.to(memory_format=memory_format(plan.channels_last))  # type: ignore[call-overload]
    optimizer = _optimizer(module, plan)
    run = _Run(task=task, plan=plan, folder=folder, optimizer=optimizer, device=device)
    run.restore()
    if not run.state.finished:
        try:
            run.go(progress)
        except PreemptedError:
            run.save()
            raise
    module.load_state_dict(run.best or module.state_dict())
    module.eval()
    return run.state


def _optimizer(module: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    groups, rate = _groups(module, plan), plan.learning_rate
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, weight_decay=plan.weight_decay)
    # One pass over the weights instead of ten: with 135 M of them a fifth of a step (docs/log.md).
    is_fused = next(module.parameters()).device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=rate, weight_decay=plan.weight_decay, fused=is_fused)


def _groups(module: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """Parameters in two groups: the head, that may learn faster, and the rest."""
    named = list(module.named_parameters())
    heads = [p for name, p in named if name.split(".", 1)[-1].startswith(plan.head_prefix)]
    rest = [p for name, p in named if not name.split(".", 1)[-1].startswith(plan.head_prefix)]
    groups = [{"params": rest, "factor": 1.0}, {"params": heads, "factor": plan.head_rate}]
    return [group for group in groups if group["params"]]


def rate_factor(step: int, plan: Plan) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to 0."""
    warmup = max(1, round(plan.warmup_share * plan.num_steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, plan.num_steps - warmup)))


@dataclass(kw_only=True)
class _Run:
    """One training under way."""

    task: Task
    plan: Plan
    folder: Path
    optimizer: torch.optim.Optimizer
    device: str
    state: TrainingState = field(default_factory=TrainingState)
    best: dict[str, Tensor] | None = None

    def go(self, progress: Progress) -> None:
        """Steps until the plan is done or dev stops getting better."""
        self.state.micro_batch = self.state.micro_batch or self.plan.batch_size
        saved_at = time.monotonic()
        stream = batch_stream(self.task.lengths, self.plan.batch_size, seed=self.plan.seed, start=self.state.step)
        while not self.state.finished:
            step, positions = next(stream)
            self._step(step, positions)
            self.state.step = step + 1
            if self.state.step % self.plan.evaluate_every == 0 or self.state.step == self._last_step():
                self._evaluate()
            if time.monotonic() - saved_at > self.plan.checkpoint_every_s and not self.state.finished:
                self.save()
                saved_at = time.monotonic()
            progress.advance()
        self.save()

    def _step(self, step: int, positions: IntArray) -> None:
        torch.manual_seed(derive_seed(self.plan.seed, "step", step))
        factor = rate_factor(step, self.plan)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * group["factor"] * factor
        loss = self._backward(step, positions)
        norm = nn.utils.clip_grad_norm_(self.task.trainable.parameters(), self.plan.max_gradient_norm)
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            raise DivergedError(
                f"training diverged at step {step}: the loss is {loss} and its gradient's norm {float(norm)}. Nothing "
                f"was learned from rows {positions[:8].tolist()}... of seed {self.plan.seed}. Lower "
                "training.learning_rate, or set training.precision=fp32."
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.state.loss_sum += loss
        self.state.num_losses += 1

    def _backward(self, step: int, positions: IntArray) -> float:
        """Adds up the gradients of a batch in pieces that fit into memory; returns the mean loss."""
        while True:
            try:
                return self._accumulate(step, positions)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error) or self.state.micro_batch <= 1:
                    raise
            # Outside the handler: while an exception is alive its frames keep the memory that ran out.
            self.optimizer.zero_grad(set_to_none=True)
            self.state.micro_batch //= 2

    def _accumulate(self, step: int, positions: IntArray) -> float:
        total, num_right, num_judged = 0.0, 0, 0
        for start in range(0, len(positions), self.state.micro_batch):
            piece = positions[start : start + self.state.micro_batch]
            with torch.autocast(self.device, torch.bfloat16, enabled=self.plan.precision == "bf16"):
                result = self.task.loss(piece, step)
            if step % NORMS_EVERY == 0 and start == 0:
                self._count_norms(result)
            loss = result.total / len(positions)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
            num_right, num_judged = num_right + result.num_right, num_judged + result.num_judged
        self.state.num_right += num_right
        self.state.num_judged += num_judged
        return total

    def _count_norms(self, result: StepLoss) -> None:
        for name, norm in gradient_norms(result).items():
            self.state.norms[name] = self.state.norms.get(name, 0.0) + norm
        self.state.num_norms += 1

    def _evaluate(self) -> None:
        state = self.state
        score, accuracy = self.task.score()
        state.curve.append((state.step, state.loss_sum / max(1, state.num_losses), score))
        own = state.num_right / state.num_judged if state.num_judged else None
        state.accuracies.append((own, None if math.isnan(accuracy) else accuracy))
        state.loss_sum, state.num_losses, state.num_right, state.num_judged = 0.0, 0, 0, 0
        if self.plan.num_snapshots:
            keep_snapshot(self.folder, state.step, self.task.trainable.state_dict(), num_kept=self.plan.num_snapshots)
        if score < state.best_score:
            state.best_score, state.best_step, state.num_bad = score, state.step, 0
            self.best = {name: tensor.detach().clone() for name, tensor in self.task.trainable.state_dict().items()}
        else:
            state.num_bad += 1
        exhausted = self.plan.patience is not None and state.num_bad >= self.plan.patience and not math.isnan(score)
        state.finished = exhausted or state.step >= self._last_step()

    def _last_step(self) -> int:
        return min(self.plan.num_steps, self.plan.stop_after or self.plan.num_steps)

    def save(self) -> None:
        """Writes a checkpoint."""
        state = {"training": self.state.to_json(), "plan": self.plan.fingerprint()}
        if self.state.finished:
            # All that is left to do with it is to load it.
            tensors = {"model": self.best or dict(self.task.trainable.state_dict())}
            save_checkpoint(self.folder, Checkpoint(step=self.state.step, tensors=tensors, state=state), num_kept=1)
            return
        tensors = {"model": dict(self.task.trainable.state_dict()), "optimizer": self._optimizer_tensors()}
        if self.best is not None:
            tensors["best"] = self.best
        save_checkpoint(self.folder, Checkpoint(step=self.state.step, tensors=tensors, state=state))

    def restore(self) -> None:
        """Loads the newest whole checkpoint, if any."""
        checkpoint = load_newest(self.folder)
        if checkpoint is None:
            return
        if checkpoint.state["plan"] != self.plan.fingerprint():
            raise CheckpointError(
                f"{self.folder} holds a checkpoint of another plan or torch version, which can't be continued to the "
                "same student. Remove that folder, or use another --out."
            )
        self.task.trainable.load_state_dict(checkpoint.tensors["model"])
        self.best = checkpoint.tensors.get("best")
        self.state = TrainingState.from_json(checkpoint.state["training"])
        if not self.state.finished:
            self._load_optimizer(checkpoint.tensors.get("optimizer", {}))

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        tensors = {}
        for name, parameter in self.task.trainable.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{name}|{key}"] = value
        return tensors

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        parameters = dict(self.task.trainable.named_parameters())
        for name, tensor in tensors.items():
            parameter, key = name.rsplit("|", 1)
            target = tensor if key == "step" else tensor.to(self.device)
            self.optimizer.state[parameters[parameter]][key] = target


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError) or "out of memory" in text or "can't allocate" in text
    )
