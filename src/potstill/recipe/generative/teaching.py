"""The teacher of a run whose student writes: brought up, tuned on the labelled rows, asked for what is not kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from potstill.data.prompts import Chat, PromptData
from potstill.files import digest
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.recipe.stages import stage
from potstill.signals.prefixes import PrefixPlan, plan_prefixes
from potstill.signals.written import WrittenAnswer, written_entry
from potstill.students.causal import load_causal_lm
from potstill.students.causal.chat import ChatTokens, settle_template
from potstill.students.causal.decode import write
from potstill.teachers.causal_lm import ModelFile
from potstill.training.causal_lm_task import CausalLmTask, ChatRow
from potstill.training.loop import Plan, train
from potstill.types import Progress

EVALUATIONS = 6


@dataclass(frozen=True, kw_only=True)
class TaughtTeacher:
    """A teacher that can be asked.

    Attributes:
        model: in bf16 and eval mode.
        chat: its tokenizer with the run's template.
        identity: everything that could change an answer.
        curve: of its tuning, empty without.
    """

    model: Any
    chat: ChatTokens
    identity: dict[str, Any]
    curve: Sequence[tuple[int, float, float]] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the teacher wrote, and what it took.

    Attributes:
        answers: one a chat; None where there is none that could be used.
        num_asked: prompts asked now.
        num_reused: prompts whose answers were kept.
        num_cut: answers that didn't end within `max_new_tokens`; nobody learns from them.
        num_tokens: written now.
        prefixes: how prompts share their beginnings, of those asked now.
        cpu_seconds: of asking.
    """

    answers: Sequence[WrittenAnswer | None]
    num_asked: int
    num_reused: int
    num_cut: int
    num_tokens: int
    prefixes: PrefixPlan
    cpu_seconds: float


def chat_rows(chats: Sequence[Chat], tokens: ChatTokens) -> list[ChatRow]:
    """Labelled chats, tokenised."""
    return [ChatRow(prompt=tokens.prompt(c.to_json()), answer=tokens.answer(c.answer or "")) for c in chats]


def bring_up(
    recipe: GenerativeRecipe, data: PromptData, out: Path, *, precision: str, device: str, progress: Progress
) -> TaughtTeacher:
    """Loads the teacher and tunes it on the training rows; a tuning that was cut off goes on."""
    spec, training = recipe.teacher, recipe.training
    file = ModelFile(spec.path())
    file.check(spec.sha256)
    progress.stage("teacher")
    model, tokenizer = load_causal_lm(file.path, dtype=torch.float32 if spec.tune else torch.bfloat16)
    chat = settle_template(tokenizer, is_tuned=spec.tune)
    identity = {
        "kind": spec.kind,
        "weights": file.digest,
        "template": chat.tokenizer.chat_template,
        "max_new_tokens": spec.max_new_tokens,
        "dtype": "bf16",
        "top_k": training.top_k,
    }
    if not spec.tune:
        return TaughtTeacher(model=model.to(device).eval(), chat=chat, identity=identity)
    tuning = {"spec": spec.config(), "data": data.digest, "precision": precision, "seed": recipe.seed}
    rows = chat_rows(data.train, chat)
    num_steps = max(1, round(spec.num_epochs * len(rows) / spec.batch_size))
    plan = Plan(
        num_steps=num_steps,
        batch_size=spec.batch_size,
        learning_rate=spec.learning_rate,
        weight_decay=0.01,
        evaluate_every=max(1, num_steps // EVALUATIONS),
        precision=precision,
        seed=recipe.seed,
        num_threads=training.num_threads,
        checkpoint_every_s=training.checkpoint_every_s,
    )
    progress.stage("teacher: tuning", num_steps)
    task = CausalLmTask(model, rows, dev=chat_rows(data.dev, chat))
    state = train(task, plan, folder=stage(out, "teacher", {**tuning, "weights": file.digest}).folder, progress=progress, device=device)
    identity["tuned"] = digest({**tuning, "torch": torch.__version__})
    return TaughtTeacher(model=model.to(torch.bfloat16).eval(), chat=chat, identity=identity, curve=state.curve)


def ask(
    teacher: TaughtTeacher, chats: Sequence[Chat], recipe: GenerativeRecipe, store: Path, progress: Progress
) -> Asked:
    """Its answers to all chats, each asked for once and kept as it comes."""
    started = time.process_time()
    entry = written_entry(store, teacher.identity)
    kept = entry.read()
    digests = [chat.digest() for chat in chats]
    missing = [i for i in {d: i for i, d in reversed(list(enumerate(digests)))}.values() if digests[i] not in kept]
    missing.sort()
    prompts = [teacher.chat.prompt(chats[i].to_json()) for i in missing]
    plan = plan_prefixes(prompts)
    progress.stage("capture", len(missing))
    limit, num_tokens = recipe.teacher.max_new_tokens, 0
    answers = write(
        teacher.model,
        prompts,
        end=teacher.chat.end,
        max_new_tokens=limit,
        top_k=recipe.training.top_k,
        plan=plan,
    )
    for position, found in answers:
        is_whole = len(found.ids) > 0 and int(found.ids[-1]) == teacher.chat.end
        answer = WrittenAnswer(
            text=teacher.chat.text(found.ids.tolist()),
            ids=found.ids,
            top_ids=found.top_ids,
            top_logprobs=found.top_logprobs,
            is_whole=is_whole,
        )
        entry.keep(digests[missing[position]], answer)
        num_tokens += len(found.ids)
        progress.advance()
    kept = entry.read()
    listed = [kept.get(d) for d in digests]
    usable = [answer if answer and answer.is_whole and answer.text else None for answer in listed]
    return Asked(
        answers=usable,
        num_asked=len(missing),
        num_reused=len(set(digests)) - len(missing),
        num_cut=sum(answer is None for answer in usable),
        num_tokens=num_tokens,
        prefixes=plan,
        cpu_seconds=round(time.process_time() - started, 1),
    )
