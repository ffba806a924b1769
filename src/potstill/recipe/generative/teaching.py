"""The teacher of a run whose student writes: brought up, tuned on the labelled rows, asked for what is not kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from potstill.data.prompts import Chat, PromptData
from potstill.errors import ConfigurationError, DataError
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
        chat: the tokens that it is asked in; those of `base` where it is not at hand.
        model: it itself, tuned or not, so that its probabilities can be asked for; None where it is not at hand.
        base: the model that the student is cut from.
        base_chat: its tokens.
        curve: of its tuning, empty without.
        by_rank: its alternatives are known by how likely they were alone, so they mean the same to any tokens.
        voice: the same where its texts alone are asked for, to be judged; None where it is at hand.
    """

    teacher: TokenTeacher
    chat: ChatTokens
    model: Any
    base: Any
    base_chat: ChatTokens
    curve: Sequence[tuple[int, float, float]] = ()
    by_rank: bool = False
    voice: TokenTeacher | None = None

    @property
    def shares_ids(self) -> bool:
        """Whether the teacher's token ids mean the same to the student's base."""
        return not self.by_rank and self.chat.has_ids_of(self.base_chat)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the teacher said.

    Attributes:
        capture: its records.
        texts: its answers; None where there is none that could be used.
        spelled: the same with space and marks as they stand in its tokens.
        prefixes: how the prompts share their beginnings.
    """

    capture: TokenCapture
    texts: Sequence[str | None]
    spelled: Sequence[str | None]
    prefixes: PrefixPlan

    @property
    def num_usable(self) -> int:
        """Answers that somebody can learn from."""
        return sum(text is not None for text in self.texts)

    def require_answers(self) -> None:
        """Without any there is nothing that a student could have from its teacher.

        Raises:
            DataError: all were refused; the message says why.
        """
        if self.texts and not self.num_usable:
            reasons = ", ".join(f"{reason} ({count})" for reason, count in self.capture.num_refused.items())
            raise DataError(
                f"the teacher gave no usable answer to any of {len(self.texts)} prompts: {reasons}. A student would "
                "learn from the labelled rows alone, which its control does too."
            )


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
    base, base_chat = _load_base(recipe, compute_type(precision), device) if recipe.student.base else (None, chat)
    _check_tokens(recipe, chat, base_chat)
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
    base = teacher.model if base is None else base
    return Tuned(teacher=teacher, chat=chat, model=teacher.model, base=base, base_chat=base_chat, curve=curve)


def _load_base(recipe: GenerativeRecipe, dtype: torch.dtype, device: str) -> tuple[Any, ChatTokens]:
    """The model that the student is cut from, where that is not the teacher."""
    file = ModelFile(CausalLm(model=recipe.student.base).path())
    file.check("")
    model, tokenizer = load_causal_lm(file.path, dtype=dtype)
    return model.to(device).eval(), settle_template(tokenizer, is_tuned=True)


def _check_tokens(recipe: GenerativeRecipe, teacher: ChatTokens, student: ChatTokens) -> None:
    """Before anything is spent on a teacher whose signals mean nothing to the student.

    Raises:
        ConfigurationError: other tokens, and a loss that compares them by id; or tokens whose bytes aren't known.
    """
    training = recipe.training
    if training.signal == "text" or teacher.has_ids_of(student):
        return
    if training.loss != "universal_logit":
        raise ConfigurationError(
            f"the teacher and student.base have other tokens ({len(teacher.tokenizer)} and {len(student.tokenizer)}), "
            f"and training.loss={training.loss} compares them by id, which would teach noise. Set "
            "training.loss=universal_logit, which compares by rank where both texts meet, or training.signal=text."
        )
    _check_bytes("the teacher", teacher)
    _check_bytes("student.base", student)


def _check_bytes(name: str, tokens: ChatTokens) -> None:
    if not tokens.is_on_bytes():
        raise ConfigurationError(
            f"the tokenizer of {name} is not on bytes, so where its tokens meet the other's isn't known. Give a model "
            "with a byte-level tokenizer, or set training.signal=text."
        )


def _distant(
    spec: OpenAIText | RecordedText, recipe: GenerativeRecipe, data: PromptData, dtype: torch.dtype, device: str
) -> Tuned:
    """A teacher that is not at hand; the student is cut from a model that is."""
    model, chat = _load_base(recipe, dtype, device)
    chats = [*data.unlabelled, *data.train, *data.test]
    by_rank = recipe.training.loss == "universal_logit" and recipe.training.signal != "text"
    if by_rank:
        _check_bytes("student.base", chat)
    teacher: RecordedTextTeacher | OpenAITextTeacher
    if isinstance(spec, RecordedText):
        teacher = RecordedTextTeacher(spec, chat, chats, by_rank=by_rank)
    else:
        messages = {chat.text_of(c.to_json()): c.to_json() for c in chats}
        teacher = OpenAITextTeacher(spec, chat, messages, by_rank=by_rank)
    return Tuned(
        teacher=teacher, chat=chat, model=None, base=model, base_chat=chat, by_rank=by_rank, voice=teacher.in_text()
    )


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
    return Asked(
        capture=found,
        texts=[_read(record, tuned.chat.text) for record in found],
        spelled=[_read(record, tuned.chat.spelled) for record in found],
        prefixes=plan_prefixes([list(sample.ids) for sample in samples]),
    )


def _read(record: TokenRecord | None, reader: Callable[[Sequence[int]], str]) -> str | None:
    return None if record is None else record.text or reader(record.ids[record.first :].tolist())
