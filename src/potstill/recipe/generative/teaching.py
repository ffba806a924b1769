"""The teacher of a run whose student writes: brought up, tuned on the labelled rows, asked for what is not kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from potstill.data.prompts import Chat, PromptData
from potstill.files import digest
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.recipe.stages import stage
from potstill.signals import Store
from potstill.signals.prefixes import PrefixPlan, plan_prefixes
from potstill.signals.token_capture import TokenCapture, TokenTeacher, capture_tokens
from potstill.signals.tokens import TokenRecord
from potstill.students.causal import load_causal_lm
from potstill.students.causal.chat import ChatTokens, settle_template
from potstill.teachers.causal_lm import CausalLm, CausalLmTeacher, ModelFile
from potstill.teachers.openai_text import OpenAIText, OpenAITextTeacher, RecordedText, RecordedTextTeacher
from potstill.training.causal_lm_task import CausalLmTask
from potstill.training.chat_rows import ChatRow
from potstill.training.device import compute_type
from potstill.training.loop import Plan, TrainingState, train
from potstill.types import Progress

EVALUATIONS = 6


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A teacher that can be asked.

    Attributes:
        teacher: that is asked.
        chat: tokens of the model that the student is cut from; the teacher's own where it is at hand.
        base: that model.
        is_local: whether it is the teacher, tuned or not, so that its probabilities can be asked for.
        curve: of its tuning, empty without.
    """

    teacher: TokenTeacher
    chat: ChatTokens
    base: Any
    is_local: bool
    curve: Sequence[tuple[int, float, float]] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the teacher said.

    Attributes:
        capture: its records.
        texts: its answers; None where there is none that could be used.
        prefixes: how the prompts share their beginnings.
    """

    capture: TokenCapture
    texts: Sequence[str | None]
    prefixes: PrefixPlan

    @property
    def num_usable(self) -> int:
        """Answers that somebody can learn from."""
        return sum(text is not None for text in self.texts)


def chat_rows(chats: Sequence[Chat], tokens: ChatTokens) -> list[ChatRow]:
    """Labelled chats, tokenised."""
    return [ChatRow(prompt=tokens.prompt(c.to_json()), answer=tokens.answer(c.answer or "")) for c in chats]


def bring_up(
    recipe: GenerativeRecipe, data: PromptData, out: Path, *, precision: str, device: str, progress: Progress
) -> Tuned:
    """Loads the teacher and tunes it on the training rows; a tuning that was cut off goes on."""
    spec = recipe.teacher
    if not isinstance(spec, CausalLm):
        return _distant(spec, recipe, data, compute_type(precision), device)
    file = ModelFile(spec.path())
    file.check(spec.sha256)
    progress.stage("teacher")
    model, tokenizer = load_causal_lm(file.path, dtype=torch.float32 if spec.tune else compute_type(precision))
    chat = settle_template(tokenizer, is_tuned=spec.tune)
    weights: dict[str, Any] = {"file": file.digest}
    curve: Sequence[tuple[int, float, float]] = ()
    if spec.tune:
        tuning = {"spec": spec.config(), "data": data.digest, "precision": precision, "seed": recipe.seed}
        folder = stage(out, "teacher", {**tuning, "weights": file.digest}).folder
        curve = _tune(model, chat, spec, recipe, data, folder, precision, device, progress).curve
        weights["tuned"] = digest({**tuning, "torch": torch.__version__})
    teacher = CausalLmTeacher(
        model=model.to(device=device, dtype=compute_type(precision)).eval(),
        chat=chat,
        weights=weights,
        top_k=recipe.training.top_k,
        max_new_tokens=spec.max_new_tokens,
        kept=recipe.training.stored,
    )
    return Tuned(teacher=teacher, chat=chat, base=teacher.model, is_local=True, curve=curve)


def _distant(
    spec: OpenAIText | RecordedText, recipe: GenerativeRecipe, data: PromptData, dtype: torch.dtype, device: str
) -> Tuned:
    """A teacher that is not at hand; the student is cut from a model that is."""
    file = ModelFile(CausalLm(model=recipe.student.base).path())
    file.check("")
    model, tokenizer = load_causal_lm(file.path, dtype=dtype)
    chat = settle_template(tokenizer, is_tuned=True)
    chats = [*data.unlabelled, *data.train, *data.test]
    teacher: TokenTeacher
    if isinstance(spec, RecordedText):
        teacher = RecordedTextTeacher(spec, chat, chats)
    else:
        teacher = OpenAITextTeacher(spec, chat, {chat.text_of(c.to_json()): c.to_json() for c in chats})
    return Tuned(teacher=teacher, chat=chat, base=model.to(device).eval(), is_local=False)


def _tune(
    model: Any,
    chat: ChatTokens,
    spec: CausalLm,
    recipe: GenerativeRecipe,
    data: PromptData,
    folder: Path,
    precision: str,
    device: str,
    progress: Progress,
) -> TrainingState:
    training = recipe.training
    rows = chat_rows(data.train, chat)
    num_steps = max(1, round(spec.num_epochs * len(rows) / spec.batch_size))
    plan = Plan(
        num_steps=num_steps,
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
        evaluate_every=max(1, num_steps // EVALUATIONS),
        precision=precision,
        seed=recipe.seed,
        num_threads=training.num_threads,
        checkpoint_every_s=training.checkpoint_every_s,
    )
    progress.stage("teacher: tuning", num_steps)
    num_layers = int(model.config.num_hidden_layers)
    num_frozen = max(0, num_layers - spec.tuned_layers) if spec.tuned_layers else 0
    task = CausalLmTask(model, rows, dev=chat_rows(data.dev, chat), num_frozen=num_frozen)
    return train(task, plan, folder=folder, progress=progress, device=device)


def ask(tuned: Tuned, chats: Sequence[Chat], store: Path, progress: Progress) -> Asked:
    """The teacher's answers to all chats, each asked for once and kept as it comes."""
    samples = [tuned.chat.sample(chat.to_json()) for chat in chats]
    found = capture_tokens(tuned.teacher, samples, Store(store), progress)
    texts = [_text(tuned.chat, record) if record else None for record in found]
    return Asked(capture=found, texts=texts, prefixes=plan_prefixes([list(sample.ids) for sample in samples]))


def _text(chat: ChatTokens, record: TokenRecord) -> str:
    return record.text or chat.text(record.ids[record.first :].tolist())
