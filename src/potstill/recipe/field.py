"""Everybody who is trained in a run: student, control, baseline and further controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data import Rows
from potstill.errors import ConfigurationError
from potstill.files import digest
from potstill.recipe.contest import Ground, Lesson, TrialResult, hold_contest, run_again
from potstill.recipe.recipe import Recipe
from potstill.recipe.teaching import Teaching
from potstill.recipe.trials import control_trials, count_steps, defaults, student_trials, way_of
from potstill.recipe.weighting import class_weights
from potstill.students import StudentBuilder, StudentContext
from potstill.students.linear import usual_linear
from potstill.students.parent import read_parent
from potstill.teachers import Encoder
from potstill.training.device import Numerics
from potstill.types import OTHER, FloatArray, Input, Progress


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One more control, that gets the labels of more rows.

    Attributes:
        title: what it is.
        rows: labelled rows besides the training rows.
    """

    title: str
    rows: Rows


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A contender that was trained.

    Attributes:
        name: of the contender.
        title: what it is.
        builder: that built it.
        lesson: what it learned from.
        result: its best trial on dev.
        dev_logits: of that trial on dev, with the rows marked out of scope; kept when it is fitted again.
    """

    name: str
    title: str
    builder: StudentBuilder
    lesson: Lesson
    result: TrialResult
    dev_logits: FloatArray


@dataclass(frozen=True, kw_only=True)
class Field:
    """All trained contenders.

    Attributes:
        trained: by name.
        trials: every trial of every contest, by the contender's name.
    """

    trained: dict[str, Trained]
    trials: dict[str, list[TrialResult]]


def make_context(recipe: Recipe, teaching: Teaching, seed: int) -> StudentContext:
    """What builders may use of these lessons.

    Raises:
        ConfigurationError: the parent answers with other classes.
    """
    parent = read_parent(Path(recipe.parent), delta_share=recipe.export.delta_share) if recipe.parent else None
    if parent is not None and parent.schema != teaching.schema:
        raise ConfigurationError(
            f"the parent {recipe.parent} answers with other classes than these rows have, so its head means something "
            "else. Distil without --parent; its first delta is then as large as a release."
        )
    return StudentContext(
        schema=teaching.taught,
        transfer_inputs=teaching.student.inputs,
        encoder=recipe.teacher.pretrained() if isinstance(recipe.teacher, Encoder) else None,
        seed=seed,
        sample_rate=teaching.sample_rate,
        parent=parent,
    )


def make_ground(
    recipe: Recipe, teaching: Teaching, out: Path, *, numerics: Numerics, device: str, progress: Progress, seed: int
) -> Ground:
    """What all trials on these lessons have in common."""
    return Ground(
        run_folder=out,
        training=recipe.training,
        context=make_context(recipe, teaching, seed),
        service=teaching.schema,
        dev_inputs=teaching.dev.inputs,
        dev_labels=teaching.dev_taught,
        dev_answers=teaching.dev.labels,
        numerics=numerics,
        device=device,
        progress=progress,
        class_weights=class_weights(
            recipe.training.class_weights,
            teaching.control.labels,
            teaching.taught,
            has_other=OTHER in teaching.taught.fields[0].classes and recipe.data.other,
        ),
    )


def train_field(
    recipe: Recipe, teaching: Teaching, ground: Ground, builder: StudentBuilder, reference: Reference | None
) -> Field:
    """Trains everybody; dev chooses among as many settings for each.

    Raises:
        DivergedError: all trials of a contender diverged.
    """
    seed, controls = recipe.seed, recipe.controls
    for_student, for_control = trial_lists(recipe, teaching, builder)
    contests: dict[str, tuple[str, StudentBuilder, Sequence[Any], Lesson]] = {
        "student": ("student", builder, for_student, teaching.student),
        "control": ("control", builder, for_control, teaching.control),
    }
    if controls.baseline and isinstance(teaching.control.inputs[0], str):
        linear = usual_linear(teaching.control.inputs)
        contests["baseline"] = (
            "hashed n-grams, linear",
            linear,
            trial_lists(_for_baseline(recipe, builder), teaching, linear)[1],
            teaching.control,
        )
    if controls.label_smoothing:
        smooth = replace(for_control[0], name="smoothing", label_smoothing=0.1)
        contests["label_smoothing"] = ("control with label smoothing", builder, [smooth], teaching.control)
    if controls.teacher_labels:
        alone = replace(
            teaching.student, labels=np.full_like(teaching.student.labels, -1), digest=_without_labels(teaching)
        )
        hard = replace(for_student[0], name="hard labels alone", signal="hard", temperature=1.0)
        contests["teacher_labels"] = ("student on the teacher's answers alone", builder, [hard], alone)
    if reference is not None:
        contests["reference"] = (reference.title, builder, for_control, _reference_lesson(teaching, reference))
    trained, trials = {}, {}
    for name, (title, made, listed, lesson) in contests.items():
        best, trials[name] = hold_contest(name, made, listed, lesson, ground, seed=seed)
        trained[name] = _trained(name, title, made, lesson, best, teaching)
    other = _best_of_other_signal(trials["student"], trained["student"].result)
    if other is not None:
        name = f"{other.trial.signal}_labels"
        title = f"student on {other.trial.signal} labels"
        trained[name] = _trained(name, title, builder, teaching.student, other, teaching)
    return Field(trained=trained, trials=trials)


def refit_field(field: Field, teaching: Teaching, ground: Ground, *, seed: int) -> Field:
    """Trains the winners again with the dev rows among the labelled ones.

    Each keeps its schedule and stops at the step that was its best on dev. Logits on dev stay those of the first round,
    which never learned from dev, so that temperatures and thresholds remain honest.
    """
    trained = dict(field.trained)
    for name, item in field.trained.items():
        # The reference keeps its lesson: its rows came from outside.
        lesson = _lesson_like(item, field, teaching)
        again = run_again(name, item.builder, item.result, lesson, ground, seed=seed)
        trained[name] = replace(item, lesson=lesson, result=again)
    return replace(field, trained=trained)


def _lesson_like(item: Trained, field: Field, teaching: Teaching) -> Lesson:
    if item.name in ("reference", "teacher_labels"):
        return item.lesson
    return teaching.student if item.lesson is field.trained["student"].lesson else teaching.control


def _trained(
    name: str, title: str, builder: StudentBuilder, lesson: Lesson, result: TrialResult, teaching: Teaching
) -> Trained:
    dev_logits = result.student.logits(teaching.scope_dev.inputs)
    return Trained(name=name, title=title, builder=builder, lesson=lesson, result=result, dev_logits=dev_logits)


def trial_lists(recipe: Recipe, teaching: Teaching, builder: StudentBuilder) -> tuple[list[Any], list[Any]]:
    """Settings to try for a student and for a control of this builder."""
    num_labelled, num_rows = len(teaching.control.inputs), len(teaching.student.inputs)
    way = way_of(builder.kind)
    if recipe.parent:
        way = replace(way, rate_factor=way.rate_factor * way.child_factor)
    base = defaults(
        recipe.training,
        num_labelled=num_labelled,
        num_unlabelled=num_rows - num_labelled,
        is_text=isinstance(teaching.control.inputs[0], str),
        way=way,
    )
    num_steps = count_steps(recipe.training, base.num_epochs, num_rows)
    return student_trials(recipe.training, base, num_steps), control_trials(
        recipe.training, base, num_steps, is_linear=builder.kind == "linear"
    )


def _for_baseline(recipe: Recipe, builder: StudentBuilder) -> Recipe:
    """A rate or dropout that was set for a network means something else to a linear model, which starts anew too."""
    if builder.kind == "linear":
        return replace(recipe, parent="")
    return replace(recipe, parent="", training=replace(recipe.training, learning_rate=None, dropout=None))


def _without_labels(teaching: Teaching) -> str:
    return digest([teaching.student.digest, "without labels"])


def _reference_lesson(teaching: Teaching, reference: Reference) -> Lesson:
    inputs: list[Input] = [*teaching.control.inputs, *reference.rows.inputs]
    labels = np.concatenate([teaching.control.labels, reference.rows.labels])
    key = [teaching.control.digest, [row.hex() for row in reference.rows.digests()]]
    return Lesson(inputs=inputs, labels=labels, digest=digest(key))


def _best_of_other_signal(trials: Sequence[TrialResult], winner: TrialResult) -> TrialResult | None:
    """The best trial on dev that learned from the other kind of label."""
    others = [result for result in trials if result.trial.signal != winner.trial.signal and not result.error]
    return min(others, key=lambda result: result.dev_nll, default=None)
