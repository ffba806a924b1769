"""The first half of a run: bring up the teacher, pass its gate, ask it, and make the lessons of all contenders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data import Data, Rows, joined
from potstill.data.views import Views, may_flip
from potstill.errors import ConfigurationError, DataError
from potstill.files import digest
from potstill.recipe.contest import Lesson
from potstill.recipe.recipe import Recipe
from potstill.recipe.seeing import answer_views, joined_captures
from potstill.signals import Capture, Store, capture, project
from potstill.students import Encoder as EncoderStudent
from potstill.students.classifier import EncoderClassifier
from potstill.students.parent import read_parent
from potstill.teachers import TeacherContext
from potstill.teachers.gate import check_gate
from potstill.teachers.trained import TrainedTeacher
from potstill.training.task import ViewedInputs
from potstill.types import UNLABELLED, FloatArray, Input, IntArray, LabelSchema, Progress, Teacher

USUAL_VIEWS = 4


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """What is known once the teacher was asked.

    Attributes:
        teacher: it.
        capture: its answers and what they cost.
        identity_digest: SHA-256 of its identity.
        dev_accuracy: in the full schema, what the gate saw.
        train: labelled rows of the service.
        dev: labelled dev rows of the service.
        scope_dev: dev rows with those marked out of scope, for the threshold.
        test: test rows of the service, with those marked out of scope.
        schema: of the service.
        taught: classes of the lessons: those of the service, or all that its `other` stands for.
        dev_taught: labels of `dev` in the classes of the lessons.
        student: what the student learns from.
        control: what control and baseline learn from.
        dev_logits: the teacher's, on `scope_dev`, in the service's classes.
        test_logits: the teacher's, on `test`, in the service's classes.
        sample_rate: of the inputs where they are sounds, in Hz.
        num_unknown_test: test rows that the teacher gave no usable answer to.
    """

    teacher: Teacher
    capture: Capture
    identity_digest: str
    dev_accuracy: float
    train: Rows
    dev: Rows
    scope_dev: Rows
    test: Rows
    schema: LabelSchema
    taught: LabelSchema
    dev_taught: IntArray
    student: Lesson
    control: Lesson
    dev_logits: FloatArray
    test_logits: FloatArray
    sample_rate: int
    num_unknown_test: int


def teach(
    recipe: Recipe,
    data: Data,
    store: Store,
    *,
    device: str,
    progress: Progress,
    is_last: bool,
    with_dev: bool = False,
) -> Teaching:
    """Prepares the teacher and asks it about every row of the run.

    Args:
        recipe: of the run.
        data: of the run.
        store: of answers.
        device: where to train.
        progress: where it says how far it is.
        is_last: ask about the test rows too.
        with_dev: teach the dev rows as well, once they have chosen; nothing is chosen on them then.

    Raises:
        GateError: it is not good enough.
        TeacherUnavailableError, BudgetError: what was answered so far is kept.
    """
    rows = _merged(data) if with_dev else data
    teacher = _prepare(recipe, rows, store, device, progress)
    train, scope_dev, test = (rows.in_service(part) for part in (rows.train, rows.dev, rows.test))
    inside = np.flatnonzero((scope_dev.labels >= 0).any(1))
    dev = scope_dev.take(inside)
    taught = _taught(recipe, data)
    # Nothing is left out where the rest is `other`, so these are the same rows.
    lesson, dev_taught = (train, dev.labels) if taught == data.schema else (rows.train, rows.dev.labels[inside])
    judged = test if is_last else test.take(np.arange(0))
    answered = _Answered(teacher, [rows.dev, train, rows.unlabelled, scope_dev, judged], store, progress)
    reached = float("nan") if with_dev else _gate(recipe, rows, *answered.of(0))
    inputs, labels, logits, known = _lesson_rows(rows, taught, lesson, answered.of(1), answered.of(2))
    views = _views(recipe, rows, inputs)
    asks_views = views is not None and getattr(recipe.teacher, "sees_views", True)
    seen = answer_views(teacher, views, inputs, rows, store, progress) if views and asks_views else None
    identity_digest = digest(teacher.identity())
    key = [data.digest, with_dev, identity_digest, digest(logits.tobytes()), recipe.training.embedding_loss]
    key += _told(taught, data)
    if views:
        key.append([views.to_json(), seen.digest if seen else ""])
    student = Lesson(
        inputs=inputs,
        labels=labels,
        teacher_logits=logits,
        known=known,
        teacher_embedding=_embedding(recipe, teacher, inputs),
        teacher_hidden=_hidden(recipe, teacher, inputs),
        # A teacher that isn't asked about views stands by what it said of the row.
        views=seen.viewed if seen else _viewed(views, inputs),
        digest=digest(key),
    )
    return Teaching(
        teacher=teacher,
        capture=joined_captures([answered.capture, *(seen.captures if seen else ())]),
        identity_digest=identity_digest,
        dev_accuracy=reached,
        train=train,
        dev=dev,
        scope_dev=scope_dev,
        test=test,
        schema=data.schema,
        taught=taught,
        dev_taught=dev_taught,
        student=student,
        control=_control_lesson(lesson, views, [data.digest, with_dev, "control", *_told(taught, data)]),
        dev_logits=project(answered.of(3)[0], data.full_schema, data.schema)[0],
        test_logits=project(answered.of(4)[0], data.full_schema, data.schema)[0],
        sample_rate=data.options.sample_rate,
        num_unknown_test=int((~answered.of(4)[1]).sum()),
    )


def _taught(recipe: Recipe, data: Data) -> LabelSchema:
    """A child learns what its parent's head stands for."""
    if recipe.parent and not read_parent(Path(recipe.parent)).is_summing:
        return data.schema
    return data.taught_schema


def _told(taught: LabelSchema, data: Data) -> list[Any]:
    """What lessons of other classes than the service's are told apart by."""
    return [] if taught == data.schema else [taught.to_json()]


def _control_lesson(train: Rows, views: Views | None, key: list[Any]) -> Lesson:
    if views:
        key = [*key, views.to_json()]
    return Lesson(inputs=train.inputs, labels=train.labels, views=_viewed(views, train.inputs), digest=digest(key))


def _viewed(views: Views | None, inputs: Sequence[Input]) -> ViewedInputs | None:
    """Views that no teacher has answered."""
    return ViewedInputs(views=views, inputs=inputs) if views else None


def _merged(data: Data) -> Data:
    """The dev rows among the training rows; what is out of scope stays apart."""
    inside = (data.dev.labels >= 0).any(1)
    train = joined([data.train, data.dev.take(np.flatnonzero(inside))])
    return replace(data, train=train, dev=data.dev.take(np.flatnonzero(~inside)))


def _gate(recipe: Recipe, data: Data, logits: FloatArray, known: IntArray) -> float:
    minimum = getattr(recipe.teacher, "minimum_accuracy", None)
    return check_gate(logits[known], data.dev.labels[known], data.full_schema, minimum)


def _lesson_rows(
    data: Data,
    taught: LabelSchema,
    train: Rows,
    of_train: tuple[FloatArray, IntArray],
    of_pool: tuple[FloatArray, IntArray],
) -> tuple[list[Input], IntArray, FloatArray, IntArray]:
    """Inputs, labels, the teacher's logits and whether they are known: training rows, then what was answered."""
    train_logits, train_known = project(of_train[0], data.full_schema, taught)
    pool_logits, pool_known = project(of_pool[0], data.full_schema, taught)
    pool_known = pool_known & of_pool[1]
    pool = data.unlabelled.take(np.flatnonzero(pool_known))
    labels = np.concatenate([train.labels, np.full((len(pool), taught.num_columns), UNLABELLED, np.int32)])
    logits = np.concatenate([train_logits, pool_logits[pool_known]])
    known = np.concatenate([train_known & of_train[1], np.ones(len(pool), bool)])
    return [*train.inputs, *pool.inputs], labels, logits, known


def _prepare(recipe: Recipe, data: Data, store: Store, device: str, progress: Progress) -> Teacher:
    context = TeacherContext(
        schema=data.full_schema,
        labelled=data.train,
        dev=data.dev.take(np.flatnonzero((data.dev.labels >= 0).any(1))),
        unlabelled=data.unlabelled,
        test=data.test,
        folder=store.teachers,
        seed=recipe.seed,
        device=device,
        progress=progress,
        sample_rate=data.options.sample_rate,
    )
    return recipe.teacher.prepare(context)


def _views(recipe: Recipe, data: Data, inputs: Sequence[Input]) -> Views | None:
    """Views of pictures and sounds, of a seed of their own: another run on the same rows then finds them answered."""
    num_views = recipe.training.num_views or USUAL_VIEWS
    if data.options.modality == "text" or num_views == 1:
        return None
    if recipe.training.mix != "none" and not getattr(recipe.teacher, "sees_views", True):
        raise ConfigurationError(
            f"training.mix is {recipe.training.mix}, and a {recipe.teacher.kind} teacher is not asked about mixtures, "
            "so nobody knows what it would say of them. Set it to none."
        )
    return Views(
        num_views=num_views,
        flip=may_flip(recipe.training.flip, inputs[0]),
        strength=recipe.training.augment,
        mix=recipe.training.mix,
        sample_rate=data.options.sample_rate,
    )


class _Answered:
    """The answers for several parts of the data, asked for in one go so that equal rows cost once."""

    def __init__(self, teacher: Teacher, parts: Sequence[Rows], store: Store, progress: Progress) -> None:
        inputs: list[Input] = [value for part in parts for value in part.inputs]
        self.capture = capture(teacher, inputs, store, progress)
        self._ends = np.cumsum([0, *(len(part) for part in parts)])
        if not self.capture.known.any():
            raise DataError(
                f"the teacher gave no usable answer to any of {len(inputs)} rows: "
                f"{dict(self.capture.num_refused)}. There is nothing to distil. Check that the teacher fits these "
                "classes."
            )

    def of(self, part: int) -> tuple[FloatArray, IntArray]:
        """Logits and whether they are known, of one part."""
        rows = slice(self._ends[part], self._ends[part + 1])
        return self.capture.logits[rows], self.capture.known[rows].copy()


def _embedding(recipe: Recipe, teacher: Teacher, inputs: Sequence[Input]) -> FloatArray | None:
    if recipe.training.embedding_loss == "none":
        return None
    if not isinstance(teacher, TrainedTeacher):
        raise ConfigurationError(
            f"training.embedding_loss is {recipe.training.embedding_loss}, and this teacher shows no features. Set it "
            "to none, or use the encoder or scratch teacher."
        )
    return teacher.embedding(inputs)


def _hidden(recipe: Recipe, teacher: Teacher, inputs: Sequence[Input]) -> FloatArray | None:
    if recipe.training.hidden_weight == 0:
        return None
    student = recipe.student
    of_encoder = isinstance(teacher, TrainedTeacher) and isinstance(teacher.student.module, EncoderClassifier)
    if not isinstance(student, EncoderStudent) or not of_encoder:
        raise ConfigurationError(
            "training.hidden_weight compares hidden states layer by layer, which needs the encoder teacher and "
            "`student: {kind: encoder}`. Set it to 0, or use both."
        )
    assert isinstance(teacher, TrainedTeacher), "checked above"
    return teacher.hidden(inputs, student.layers)
