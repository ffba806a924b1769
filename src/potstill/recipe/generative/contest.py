"""Student and control: cut from one model, trained for the same number of steps, chosen on the same dev rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from potstill.data.prompts import Chat, PromptData
from potstill.errors import ConfigurationError
from potstill.evaluation.generation import matches
from potstill.losses import tokens as token_losses
from potstill.recipe.generative.cutting import Cut
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.recipe.generative.teaching import EVALUATIONS, chat_rows
from potstill.recipe.stages import stage
from potstill.signals.tokens import SignalKind
from potstill.students.causal.chat import ChatTokens
from potstill.students.causal.decode import write
from potstill.students.causal.low_rank import add_low_rank, merge_low_rank
from potstill.training.causal_lm_task import CausalLmTask
from potstill.training.chat_rows import ChatRow
from potstill.training.device import compute_type
from potstill.training.loop import DivergedError, Plan, TrainingState, train
from potstill.training.on_policy import OnPolicy
from potstill.training.snapshots import load_snapshot
from potstill.types import Progress

LOSSES = {kind().kind: kind() for kind in token_losses.KINDS if kind().needs == "distribution"}


@dataclass(frozen=True, kw_only=True)
class WritingTrial:
    """One setting.

    Attributes:
        name: for the report.
        signal: `top_k`, `text`, or `none` for a control.
        learning_rate: peak.
    """

    name: str
    signal: Literal["top_k", "text", "none"]
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class WritingResult:
    """One training and what it reached on dev.

    Attributes:
        trial: its settings.
        model: with weights rounded to bf16, at its best step.
        state: of the training.
        dev_exact_match: share of dev answers that are right.
        folder: of its checkpoints.
        error: why it failed, empty when it didn't.
    """

    trial: WritingTrial
    model: Any
    state: TrainingState
    dev_exact_match: float
    folder: Path
    error: str = ""

    def summary(self) -> dict[str, Any]:
        """For the report, JSON values."""
        score = self.state.best_score
        return {
            **asdict(self.trial),
            "dev_exact_match": self.dev_exact_match,
            "dev_nats": score if np.isfinite(score) else None,
            "steps_done": self.state.step,
            "best_step": self.state.best_step,
            "error": self.error,
        }


def trials(recipe: GenerativeRecipe, kind: SignalKind) -> tuple[list[WritingTrial], list[WritingTrial]]:
    """Of the student and of the control, as many for one as for the other.

    Args:
        recipe: of the run.
        kind: of the teacher's records; text alone can teach only as text.

    Raises:
        ConfigurationError: probabilities are asked for, and there are none.
    """
    rate, signal = recipe.training.learning_rate, recipe.training.signal
    if kind == "text":
        if signal == "top_k":
            raise ConfigurationError(
                "training.signal is top_k, and this teacher gives text alone. Set teacher.top_logprobs for a server of "
                "the student's tokenizer (of another one with training.loss=universal_logit), or training.signal=text."
            )
        signal = "text"
    signals: tuple[Literal["top_k", "text"], ...] = ("top_k", "text") if signal == "auto" else (signal,)
    student = [WritingTrial(name=s, signal=s, learning_rate=rate) for s in signals]
    control = [
        WritingTrial(name=f"lr {rate * factor:g}", signal="none", learning_rate=rate * factor)
        for factor in (1.0, 0.5)[: len(student)]
    ]
    return student, control


@dataclass(frozen=True, kw_only=True)
class WritingGround:
    """What all trials of a run have in common; the teacher is None where it is not at hand."""

    recipe: GenerativeRecipe
    data: PromptData
    cut: Cut
    teacher: Any
    num_steps: int
    out: Path
    precision: str
    device: str
    progress: Progress


def hold(
    name: str,
    listed: Sequence[WritingTrial],
    rows_of: Callable[[WritingTrial], Sequence[ChatRow]],
    ground: WritingGround,
) -> tuple[WritingResult, list[WritingResult]]:
    """Trains every trial and returns the best on dev with all of them.

    Raises:
        DivergedError: all of them diverged.
    """
    results = [_run(name, trial, rows_of(trial), ground) for trial in listed]
    best = max(results, key=lambda r: (not r.error, r.dev_exact_match, -r.state.best_score))
    if best.error:
        raise DivergedError(f"every trial of the {name} failed; the first: {best.error}")
    return best, results


def _run(name: str, trial: WritingTrial, rows: Sequence[ChatRow], ground: WritingGround) -> WritingResult:
    recipe, training, cut = ground.recipe, ground.recipe.training, ground.cut
    ingredients = {
        "trial": asdict(trial),
        "training": asdict(training),
        "student": asdict(recipe.student),
        "teacher": recipe.teacher.config(),
        "data": ground.data.digest,
        "rows": _digest_rows(rows),
        "precision": ground.precision,
        "seed": recipe.seed,
    }
    plan = Plan(
        num_steps=ground.num_steps,
        batch_size=training.batch_size,
        learning_rate=trial.learning_rate,
        evaluate_every=max(1, ground.num_steps // EVALUATIONS),
        precision=ground.precision,
        seed=recipe.seed,
        num_threads=training.num_threads,
        checkpoint_every_s=training.checkpoint_every_s,
        num_snapshots=training.num_checkpoints if name == "student" else 0,
    )
    model, changes = _start(recipe, cut)
    task = CausalLmTask(
        model,
        rows,
        dev=chat_rows(ground.data.dev, cut.chat),
        loss=LOSSES[training.loss],
        packs=training.packing,
        on_policy=_on_policy(ground) if training.on_policy and trial.signal == "top_k" else None,
    )
    ground.progress.stage(f"{name}: {trial.name}", ground.num_steps)
    state, error = TrainingState(), ""
    folder = stage(ground.out, name, ingredients).folder
    try:
        state = train(task, plan, folder=folder, progress=ground.progress, device=ground.device)
    except DivergedError as diverged:
        error = str(diverged)
    model = _as_shipped(model, changes, ground.precision)
    texts = write_texts(model, cut.chat, ground.data.dev, recipe.teacher.max_new_tokens)
    right = matches(texts, [chat.answer or "" for chat in ground.data.dev])
    return WritingResult(
        trial=trial,
        model=model,
        state=state,
        dev_exact_match=float(right.mean()) if len(right) else 0.0,
        folder=folder,
        error=error,
    )


def model_at(snapshot: Path, recipe: GenerativeRecipe, cut: Cut, precision: str) -> Any:
    """The student as it was at a kept evaluation, as it would have shipped.

    Raises:
        CheckpointError: the file is damaged.
    """
    model, changes = _start(recipe, cut)
    model.load_state_dict(load_snapshot(snapshot))
    return _as_shipped(model, changes, precision)


def _start(recipe: GenerativeRecipe, cut: Cut) -> tuple[Any, Any]:
    """The untrained student, and what learns in place of its weights, where a recipe says so."""
    model = cut.build()
    return model, add_low_rank(model, recipe.student.lora_rank) if recipe.student.lora_rank else None


def _as_shipped(model: Any, changes: Any, precision: str) -> Any:
    """It ships with weights in bf16, whatever it computes in here."""
    merged = merge_low_rank(changes) if changes else model
    return merged.to(torch.bfloat16).to(compute_type(precision)).eval()


def _on_policy(ground: WritingGround) -> OnPolicy:
    cut = ground.cut
    return OnPolicy(
        teacher=ground.teacher,
        old_ids=cut.old_ids,
        share=ground.recipe.training.on_policy,
        end=cut.chat.end,
        max_new_tokens=ground.recipe.teacher.max_new_tokens,
    )


def _digest_rows(rows: Sequence[ChatRow]) -> str:
    """Hash of all that the rows teach."""
    parts = hashlib.sha256()
    for row in rows:
        parts.update(repr((list(row.prompt), list(row.answer), row.places)).encode())
        if isinstance(row.target, token_losses.HeadTarget):
            parts.update(row.target.hidden.numpy().tobytes())
        elif row.target is not None:
            parts.update(row.target.indices.numpy().tobytes() + row.target.logprobs.numpy().tobytes())
    return parts.hexdigest()


def write_texts(model: Any, tokens: ChatTokens, chats: Sequence[Chat], max_new_tokens: int) -> list[str]:
    """Greedy answers, as text."""
    prompts = [tokens.prompt(chat.to_json()) for chat in chats]
    texts = [""] * len(chats)
    for position, found in write(model, prompts, end=tokens.end, max_new_tokens=max_new_tokens):
        texts[position] = tokens.text(found.ids.tolist())
    return texts
