"""Where the answers are a closed set, a classifier could give them: hashed n-grams under a linear head, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from potstill.data.prompts import Chat, PromptData
from potstill.evaluation.generation import WrittenContender
from potstill.files import digest
from potstill.recipe.contest import Ground, Lesson, hold_contest
from potstill.recipe.generative.teaching import Asked
from potstill.recipe.trials import control_trials, count_steps, defaults, way_of
from potstill.students import Linear
from potstill.students.base import StudentContext, encoded_logits
from potstill.training.device import Numerics
from potstill.training.settings import Training
from potstill.types import UNLABELLED, Field, IntArray, LabelSchema, Progress


def train_baseline(
    data: PromptData, chats: Sequence[Chat], asked: Asked, out: Path, *, seed: int, progress: Progress
) -> WrittenContender | None:
    """The baseline on gold rows and the teacher's answers; None where the answers are no closed set."""
    answers = data.closed_answers
    if not answers:
        return None
    schema = LabelSchema((Field(name="answer", classes=answers),))
    gold = [(_text(chat), chat.answer) for chat in data.train]
    told = [(_text(chat), text) for chat, text in zip(chats, asked.texts, strict=True)]
    rows = gold + [(text, answer) for text, answer in told if answer in answers]
    inputs = [text for text, _ in rows]
    training = Training(num_trials=1, precision="fp32")
    labels = _labels([answer or "" for _, answer in rows], answers)
    way = way_of("linear")
    base = defaults(training, num_labelled=len(gold), num_unlabelled=len(rows) - len(gold), way=way)
    num_steps = count_steps(training, base.num_epochs, len(rows))
    dev_labels = _labels([chat.answer or "" for chat in data.dev], answers)
    ground = Ground(
        run_folder=out,
        training=training,
        context=StudentContext(schema=schema, transfer_inputs=inputs, encoder=None, seed=seed),
        service=schema,
        dev_inputs=[_text(chat) for chat in data.dev],
        dev_labels=dev_labels,
        dev_answers=dev_labels,
        numerics=Numerics(precision="fp32"),
        device="cpu",
        progress=progress,
    )
    lesson = Lesson(
        inputs=inputs, labels=labels, teacher_logits=None, known=None, digest=digest([inputs, labels.tolist()])
    )
    listed = control_trials(training, base, num_steps, is_linear=True)
    best, _ = hold_contest("baseline", Linear(), listed, lesson, ground, seed=seed)
    test = best.student.preprocessor.encode([_text(chat) for chat in data.test])
    said = encoded_logits(best.student, test).argmax(1)
    number = best.student.num_parameters
    return WrittenContender(
        name="baseline",
        title=f"hashed n-grams, linear, {len(answers)} answers",
        texts=[answers[i] for i in said.tolist()],
        num_parameters=number,
        size_bytes=number,  # one byte a weight in the form that ships
    )


def _text(chat: Chat) -> str:
    return "\n".join(content for _, content in chat.messages)


def _labels(given: Sequence[str], answers: Sequence[str]) -> IntArray:
    numbers = {answer: i for i, answer in enumerate(answers)}
    return np.array([[numbers.get(answer, UNLABELLED)] for answer in given], np.int32)
