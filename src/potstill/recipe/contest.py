"""Trains the settings that are tried for one contender and takes the best on dev."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from potstill.evaluation.calibration import fit_temperatures
from potstill.evaluation.metrics import accuracy, nll
from potstill.losses import (
    CrossEntropy,
    Dist,
    EmbeddingCosine,
    EmbeddingRelational,
    ForwardKL,
    HardLabel,
    HiddenMSE,
    Loss,
)
from potstill.recipe.stages import stage
from potstill.recipe.trials import is_better, sparse_trial, way_of
from potstill.recipe.weighting import row_weights
from potstill.students.base import Student, StudentBuilder, StudentContext, encoded_logits
from potstill.students.sparse import Moved, digest_of_moved, train_alone
from potstill.students.summing import in_service
from potstill.teachers.trained import start_head
from potstill.training.device import Numerics
from potstill.training.loop import DivergedError, Plan, TrainingState, train
from potstill.training.settings import Training, Trial
from potstill.training.task import DistillationTask, Term, TransferSet, ViewedInputs, encode_rows
from potstill.types import FloatArray, Input, IntArray, LabelSchema, Progress

# Evaluations without a better NLL on dev that end the training of a network for texts.
USUAL_PATIENCE = 4


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a contender learns from.

    Attributes:
        inputs: N inputs.
        labels: N x L.
        teacher_logits: N x C, None for a contender without a teacher.
        known: N, whether the teacher answered.
        teacher_embedding: N x D, pooled features of the teacher; None where not asked for.
        teacher_hidden: N x H, pooled hidden states of the teacher; None where not asked for.
        views: of the inputs, where they are pictures or sounds.
        digest: of all of these; part of the key of a trial.
    """

    inputs: Sequence[Input]
    labels: IntArray
    teacher_logits: FloatArray | None = None
    known: IntArray | None = None
    teacher_embedding: FloatArray | None = None
    teacher_hidden: FloatArray | None = None
    views: ViewedInputs | None = None
    digest: str


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all trials of a run have in common.

    Attributes:
        run_folder: gets the checkpoints.
        training: options.
        context: of the builders; its schema is that of the lessons.
        service: what trained students answer with.
        dev_inputs: N inputs.
        dev_labels: N x L, in the schema of the lessons.
        dev_answers: N x L, in the service's.
        numerics: precision and layout.
        device: where to train.
        progress: where it says how far it is.
        class_weights: one a class, None where all rows count alike.
    """

    run_folder: Path
    training: Training
    context: StudentContext
    service: LabelSchema
    dev_inputs: Sequence[Input]
    dev_labels: IntArray
    dev_answers: IntArray
    numerics: Numerics
    device: str
    progress: Progress
    class_weights: FloatArray | None = None

    @property
    def is_text(self) -> bool:
        """Whether the inputs are texts."""
        return isinstance(self.context.transfer_inputs[0], str)

    def context_of(self, name: str) -> StudentContext:
        """What a contender is built from: the baseline is what one would have without all this, so it starts anew."""
        return replace(self.context, parent=None) if name == "baseline" else self.context


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One training and what it reached on dev.

    Attributes:
        trial: its settings.
        student: trained, at its best step.
        state: of the training.
        dev_logits: N_dev x C.
        dev_nll: after temperature, nats a row.
        dev_accuracy: share of dev rows with every field right.
        gradient_ratio: norm of the distillation gradient over that of the cross-entropy; None without both.
        folder: of its checkpoints.
        error: why it failed, empty when it didn't.
        moved: name -> which weights are worth a second training of their own; empty without a parent.
        first: the training that chose the weights which were trained here alone.
    """

    trial: Trial
    student: Student
    state: TrainingState
    dev_logits: FloatArray
    dev_nll: float
    dev_accuracy: float
    gradient_ratio: float | None
    folder: Path
    error: str = ""
    moved: Moved = field(default_factory=dict)
    first: TrialResult | None = None

    def summary(self) -> dict[str, Any]:
        """For the report, JSON values."""
        return {
            **self.trial.config(),
            "dev_nll": None if np.isnan(self.dev_nll) else self.dev_nll,
            "dev_accuracy": None if np.isnan(self.dev_accuracy) else self.dev_accuracy,
            "steps_done": self.state.step,
            "best_step": self.state.best_step,
            "gradient_ratio": self.gradient_ratio,
            "error": self.error,
        }


def hold_contest(
    name: str, builder: StudentBuilder, trials: Sequence[Trial], lesson: Lesson, ground: Ground, *, seed: int
) -> tuple[TrialResult, list[TrialResult]]:
    """Trains every trial and returns the best on dev with all of them.

    Raises:
        DivergedError: all of them diverged.
    """
    results = [run_trial(name, builder, trial, lesson, ground, seed=seed) for trial in trials]
    best = results[0]
    for result in results[1:]:
        if is_better(result.dev_nll, best.dev_nll) or (best.error and not result.error):
            best = result
    if best.error:
        raise DivergedError(f"every trial of the {name} failed; the first: {best.error}")
    if is_worth_sparse(best, ground.context_of(name)):
        again = run_trial(name, builder, sparse_trial(best.trial), lesson, ground, seed=seed, first=best)
        results.append(again)
        best = again if is_better(again.dev_nll, best.dev_nll) else best
    return best, results


def is_worth_sparse(best: TrialResult, context: StudentContext) -> bool:
    """Whether a second training could gain anything: a delta can't carry all, and something moved."""
    parent = context.parent
    return parent is not None and parent.delta_share < 1 and any(moved.any() for moved in best.moved.values())


def run_again(
    name: str, builder: StudentBuilder, result: TrialResult, lesson: Lesson, ground: Ground, *, seed: int
) -> TrialResult:
    """The settings of a trial on another lesson, up to the step that was its best on dev."""
    first = None
    if result.first is not None:
        first = run_again(name, builder, result.first, lesson, ground, seed=seed)
    stop_after = max(result.state.best_step, 1)
    again = run_trial(name, builder, result.trial, lesson, ground, seed=seed, stop_after=stop_after, first=first)
    return replace(again, gradient_ratio=result.gradient_ratio)


def run_trial(
    name: str,
    builder: StudentBuilder,
    trial: Trial,
    lesson: Lesson,
    ground: Ground,
    *,
    seed: int,
    stop_after: int | None = None,
    first: TrialResult | None = None,
) -> TrialResult:
    """Trains one setting; a trial that was finished before is loaded.

    Args:
        name: of the contender.
        builder: of its student.
        trial: the setting.
        lesson: what it learns from.
        ground: what all trials have in common.
        seed: of everything random.
        stop_after: steps after which it stops; None goes to the end.
        first: a training from the same parent; what it moved most is trained here, from the parent on, and nothing else
            moves (Ansell et al. 2022, arXiv 2110.07560).
    """
    ingredients = {
        "builder": builder.config(),
        "trial": trial.config(),
        "lesson": lesson.digest,
        "training": {n: getattr(ground.training, n) for n in ground.training.__dataclass_fields__},
        "precision": ground.numerics.precision,
        "channels_last": ground.numerics.channels_last,
        "seed": seed,
        "stop_after": stop_after,
    }
    context = ground.context_of(name)
    parent = context.parent
    if parent is not None:
        ingredients["parent"] = [parent.digest, parent.delta_share]
    if first is not None:
        ingredients["alone"] = digest_of_moved(first.moved)
    folder = stage(ground.run_folder, name, ingredients).folder
    student = _start(builder, trial, lesson, context, ground.device)
    task = _task(student, trial, lesson, ground, seed)
    num_snapshots = ground.training.num_checkpoints if name == "student" else 0
    plan = replace(_plan(trial, builder, ground, seed), stop_after=stop_after, num_snapshots=num_snapshots)
    if parent is not None:
        # The head of a parent knows its classes already.
        plan = replace(plan, head_rate=1.0)
    if first is not None:
        train_alone(student.module, first.moved)
        # It would pull at the others too.
        plan = replace(plan, weight_decay=0.0)
    ground.progress.stage(f"{name}: {trial.name}", stop_after or plan.num_steps)
    error = ""
    state = TrainingState()
    try:
        state = train(task, plan, folder=folder, progress=ground.progress, device=ground.device)
    except DivergedError as diverged:
        error = str(diverged)
    moved: Moved = {}
    if parent is not None:
        moved = {} if first is not None else parent.most_moved(student.module)
        kept = parent.keep_grid(student.module)
        ground.progress.say(
            f"{name}: weights that moved by no more than {kept.dead_zone:.1f} steps of the parent's grid were put "
            f"back, for a delta of about {100 * kept.share:.1f} %"
        )
    judged = _judged(trial, student, state, task, ground, folder, error)
    return replace(judged, moved=moved, first=first)


def _start(builder: StudentBuilder, trial: Trial, lesson: Lesson, context: StudentContext, device: str) -> Student:
    """An untrained student: where its parent stands, or with a head that knows its classes where it can have one."""
    student = builder.build(context, dropout=trial.dropout)
    if context.parent is not None:
        context.parent.give(student.module)
        return replace(student, ranges=context.parent.ranges)
    start_head(student, lesson.inputs, lesson.labels, device)
    return student


def _judged(
    trial: Trial,
    student: Student,
    state: TrainingState,
    task: DistillationTask,
    ground: Ground,
    folder: Path,
    error: str,
) -> TrialResult:
    student = in_service(student, ground.service)
    dev_logits = encoded_logits(student, task.dev_encoded)
    schema, labels = student.schema, ground.dev_answers
    temperatures = fit_temperatures(dev_logits, labels, schema)
    failed = bool(error) or len(labels) == 0
    return TrialResult(
        trial=trial,
        student=student,
        state=state,
        dev_logits=dev_logits,
        dev_nll=float("nan") if failed else nll(dev_logits, labels, schema, temperatures, task.dev_weights),
        dev_accuracy=float("nan") if failed else accuracy(dev_logits, labels, schema),
        gradient_ratio=_gradient_ratio(state),
        folder=folder,
        error=error,
    )


def _gradient_ratio(state: TrainingState) -> float | None:
    truth = state.norms.get("cross_entropy")
    teaching = [value for name, value in state.norms.items() if name != "cross_entropy"]
    if not truth or not teaching:
        return None
    return sum(teaching) / truth


def _task(student: Student, trial: Trial, lesson: Lesson, ground: Ground, seed: int) -> DistillationTask:
    encoded, lengths = encode_rows(student, lesson.inputs)
    dev_encoded, _ = encode_rows(student, ground.dev_inputs)
    transfer = TransferSet(
        encoded=encoded,
        lengths=lengths,
        labels=lesson.labels,
        teacher_logits=lesson.teacher_logits,
        known=lesson.known,
        teacher_embedding=lesson.teacher_embedding,
        teacher_hidden=lesson.teacher_hidden,
        views=lesson.views,
        weights=row_weights(ground.class_weights, lesson.labels, lesson.teacher_logits),
    )
    return DistillationTask(
        student,
        transfer,
        dev_encoded=dev_encoded,
        dev_labels=ground.dev_labels,
        dev_weights=row_weights(ground.class_weights, ground.dev_labels, None),
        terms=terms(trial, ground.training),
        augmentation=trial.augmentation,
        batch_size=ground.training.batch_size,
        seed=seed,
    )


def terms(trial: Trial, training: Training) -> list[Term]:
    """The losses of a trial with their weights; weights of 0 leave a loss out."""
    truth = CrossEntropy(label_smoothing=trial.label_smoothing)
    if trial.signal == "none":
        return [Term("cross_entropy", 1.0, truth)]
    found = [Term("cross_entropy", training.ce_weight, truth)]
    loss: Loss = HardLabel()
    if trial.signal == "soft":
        kinds = {"forward_kl": ForwardKL, "dist": Dist}
        loss = kinds[training.distillation_loss](temperature=trial.temperature)
    found.append(Term("distillation", training.kd_weight, loss))
    if training.embedding_loss != "none":
        embedding: Loss = EmbeddingCosine() if training.embedding_loss == "cosine" else EmbeddingRelational()
        found.append(Term("embedding", training.embedding_weight, embedding))
    found.append(Term("hidden", training.hidden_weight, HiddenMSE()))
    return [term for term in found if term.weight > 0]


def _plan(trial: Trial, builder: StudentBuilder, ground: Ground, seed: int) -> Plan:
    training = ground.training
    way = way_of(builder.kind)
    return Plan(
        optimizer=way.optimizer,
        num_steps=trial.num_steps,
        batch_size=training.batch_size,
        learning_rate=trial.learning_rate,
        head_rate=way.head_rate,
        weight_decay=training.weight_decay if way.weight_decay is None else way.weight_decay,
        evaluate_every=max(1, trial.num_steps // 20),
        patience=training.patience or (USUAL_PATIENCE if ground.is_text else None),
        precision=ground.numerics.precision,
        channels_last=ground.numerics.channels_last,
        seed=seed,
        num_threads=training.num_threads,
        checkpoint_every_s=training.checkpoint_every_s,
    )
