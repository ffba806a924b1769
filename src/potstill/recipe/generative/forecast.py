"""What a run whose student writes will take, before anything is started. A rough guess, and said to be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from potstill.data.prompts import Chat, PromptData, load_prompts
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.recipe.generative.shape import PACKAGED, ModelShape, shape_of
from potstill.signals.prefixes import PrefixPlan, plan_prefixes
from potstill.teachers.causal_lm import CausalLm
from potstill.teachers.openai_text import OpenAIText
from potstill.training.batches import epoch_batches
from potstill.training.device import probe_precision

# CPU seconds of 1,000 tokens and of a billion weights on one thread that computes in bf16, from a prototype; in fp32
# three times that: there benchmarks/results/generative.json took 1,143 s and these say 960. Training is a third forward
# and two thirds backward.
ANSWERED_S, TRAINED_S, FP32_TIMES = 8.0, 30.0, 3.0
CHARACTERS_A_TOKEN = 4
# What the template puts around a chat.
TEMPLATE_TOKENS = 8
# A vocabulary that is trimmed to texts: single bytes and marks, and pieces for each distinct word.
LEAST_VOCABULARY, PIECES_A_WORD = 300, 1.3
# fp32 weight, gradient and two moments; weights that only stand there, in bf16; a checkpoint with its best weights,
# twice while it is written.
LEARNED_BYTES, RESTING_BYTES, CHECKPOINT_BYTES = 16, 2, 32
# Numbers that the backward pass keeps of a token and a layer, in widths and in feed-forward units, two bytes each.
KEPT_WIDTHS, KEPT_UNITS = 12, 4
PROCESS_BYTES = 600_000_000
HEAD_GROUP = 256


@dataclass(frozen=True, kw_only=True)
class GenerativeForecast:
    """What a run will take.

    Attributes:
        num_rows: rows by part.
        teacher_rows: prompts that the teacher is asked, if none is in the store.
        prompt_tokens: of these, about.
        share_reused: share of them that a shared beginning saves.
        teacher_calls: calls to an API, 0 for a teacher at hand.
        teacher_tokens: tokens of these calls, in and out.
        teacher_cost: their price, in the currency of the recipe's prices.
        over_budget: limits of the recipe that these pass.
        student_parameters: weights of the student.
        precision: that is computed in; where the recipe leaves it open, the one that this machine is faster in.
        seconds: CPU seconds of one thread by stage.
        cpu_seconds: in all.
        memory_bytes: at the peak.
        disk_bytes: of the run folder and of the teacher's answers in the store, while the run goes on.
    """

    num_rows: dict[str, int]
    teacher_rows: int
    prompt_tokens: int
    share_reused: float
    teacher_calls: int
    teacher_tokens: int
    teacher_cost: float
    over_budget: list[str]
    student_parameters: int
    precision: str
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: float
    memory_bytes: int
    disk_bytes: int

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        rows = ", ".join(f"{count:,} {name}" for name, count in self.num_rows.items())
        parts = ", ".join(f"{name} {seconds / 60:.0f}" for name, seconds in self.seconds.items() if seconds >= 30)
        lines = [
            f"rows: {rows}",
            f"teacher: {self.teacher_rows:,} prompts of about {self.prompt_tokens:,} tokens; shared beginnings save "
            f"{100 * self.share_reused:.0f} % of them",
            f"student: about {self.student_parameters / 1e6:.1f} million weights",
            f"time: about {self.cpu_seconds / 60:.0f} minutes of one CPU thread in {self.precision}"
            f"{f' ({parts})' if parts else ''}",
            f"memory: about {self.memory_bytes / 1e9:.1f} GB; disk: about {self.disk_bytes / 1e6:.0f} MB",
        ]
        if self.teacher_calls:
            lines.append(
                f"calls: {self.teacher_calls:,}, about {self.teacher_tokens:,} tokens, cost {self.teacher_cost:.2f}"
            )
        if self.over_budget:
            lines.append(f"over budget: {', '.join(self.over_budget)}; the run would stop there and keep what it has")
        return "\n".join(lines)


def forecast_generative(recipe: GenerativeRecipe) -> GenerativeForecast:
    """Reads the data and reckons; no model is loaded. Characters stand for tokens, four for one.

    Raises:
        DataError: the rows can't be used as they are.
        TeacherUnavailableError: there is no such model.
    """
    data = load_prompts(recipe.data, seed=recipe.seed)
    work = _Work(recipe, data)
    seconds = {
        "tuning": work.tuning(),
        "asking": work.asking(),
        "student": work.training("student"),
        "control": work.training("control"),
        "judging": work.judging(),
    }
    precision: str = recipe.training.precision
    if precision == "auto":
        precision = probe_precision("cpu", num_threads=recipe.training.num_threads)
    times = FP32_TIMES if precision == "fp32" else 1.0
    seconds = {name: round(times * value / 1e12, 1) for name, value in seconds.items()}
    calls, tokens, cost = work.calls()
    return GenerativeForecast(
        num_rows={
            "train": len(data.train),
            "dev": len(data.dev),
            "test": len(data.test),
            "unlabelled": len(work.pool),
        },
        teacher_rows=len(work.pool),
        prompt_tokens=work.prefixes.num_tokens,
        share_reused=round(work.prefixes.share_reused, 3),
        teacher_calls=calls,
        teacher_tokens=tokens,
        teacher_cost=round(cost, 4),
        over_budget=work.over_budget(calls, tokens, cost),
        student_parameters=work.student.parameters,
        precision=precision,
        seconds=seconds,
        cpu_seconds=round(sum(seconds.values()), 1),
        memory_bytes=work.memory_bytes(),
        disk_bytes=work.disk_bytes(),
    )


@dataclass(frozen=True)
class _Work:
    """What there is to do; a rate times weights times tokens, of which 1e12 are a second."""

    recipe: GenerativeRecipe
    data: PromptData

    @cached_property
    def pool(self) -> Sequence[Chat]:
        return self.data.unlabelled or self.data.train

    @cached_property
    def teacher(self) -> ModelShape | None:
        """None where it is not at hand."""
        spec = self.recipe.teacher
        if not isinstance(spec, CausalLm):
            return None
        return shape_of(spec.path()) if spec.model else PACKAGED

    @cached_property
    def base(self) -> ModelShape:
        """What the student is cut from."""
        named = self.recipe.student.base
        if named:
            return shape_of(CausalLm(model=named).path())
        return self.teacher or PACKAGED

    @cached_property
    def student(self) -> ModelShape:
        words = {word for chat in [*self.data.train, *self.data.dev, *self.pool] for word in _text(chat).split()}
        return self.base.cut(self.recipe.student, LEAST_VOCABULARY + round(PIECES_A_WORD * len(words)))

    @cached_property
    def prefixes(self) -> PrefixPlan:
        return plan_prefixes([list(_text(chat).encode()[::CHARACTERS_A_TOKEN]) for chat in self.pool])

    @cached_property
    def answer_tokens(self) -> float:
        """Of an answer, on average; at most what the teacher may write."""
        told = [len(chat.answer or "") / CHARACTERS_A_TOKEN + 1 for chat in self.data.train]
        return min(float(np.mean(told)) if told else 1.0, self.recipe.teacher.max_new_tokens)

    def row_tokens(self, chats: Sequence[Chat]) -> float:
        """Of a row with its answer, on average."""
        prompts = [len(_text(chat)) / CHARACTERS_A_TOKEN for chat in chats]
        return (float(np.mean(prompts)) if prompts else 0.0) + TEMPLATE_TOKENS + self.answer_tokens

    @cached_property
    def has_signal(self) -> bool:
        """Whether a trial learns from stored probabilities."""
        return not self.recipe.gives_text and self.recipe.training.signal != "text"

    @cached_property
    def num_trials(self) -> int:
        """Of the student; the control gets as many."""
        return 2 if self.recipe.training.signal == "auto" and self.has_signal else 1

    @cached_property
    def step_rows(self) -> float:
        """Rows of all steps of a trial."""
        training = self.recipe.training
        return float(training.num_steps(len(self.data.train) + len(self.pool)) * training.batch_size)

    @cached_property
    def padding(self) -> float:
        """Tokens that a step computes, a token of its rows; 1 where they are packed."""
        if self.recipe.training.packing:
            return 1.0
        chats = [*self.data.train, *self.data.unlabelled]
        lengths = np.array([len(_text(chat)) // CHARACTERS_A_TOKEN + TEMPLATE_TOKENS for chat in chats], np.int64)
        batches = epoch_batches(lengths, self.recipe.training.batch_size, seed=0, epoch=0)
        computed = sum(len(batch) * int(lengths[batch].max()) for batch in batches if len(batch))
        return computed / max(sum(int(lengths[batch].sum()) for batch in batches), 1)

    def tuning(self) -> float:
        spec, shape = self.recipe.teacher, self.teacher
        if not isinstance(spec, CausalLm) or shape is None or not spec.tune:
            return 0.0
        share = min(spec.tuned_layers or shape.layers, shape.layers) / shape.layers
        rows = len(self.data.train) * self.row_tokens(self.data.train)
        # What lies below the tuned layers is computed once a row, forward alone.
        passes = spec.num_epochs * (share * shape.body * rows + shape.head * len(self.data.train) * self.answer_tokens)
        return TRAINED_S * (passes + (1 - share) / 3 * shape.body * rows)

    def asking(self) -> float:
        if self.teacher is None:
            return 0.0
        answers = len(self.pool) * self.answer_tokens
        read = self.prefixes.num_tokens * (1 - self.prefixes.share_reused)
        work = self.teacher.body * (read + answers) + self.teacher.head * answers
        # Draws are made from states that were kept: the head once more.
        again = self.teacher.head * answers if self.recipe.training.stored == "sampled" else 0
        return ANSWERED_S * (work + again)

    def training(self, name: str) -> float:
        """All trials of a contender."""
        training, shape = self.recipe.training, self.student
        chats = [*self.data.train, *(self.pool if name == "student" else [])]
        tokens = self.step_rows * self.row_tokens(chats) * self.padding
        answers = self.step_rows * self.answer_tokens
        # Weights that stay as they are need no gradient of their own: a third less.
        share = 2 / 3 if self.recipe.student.lora_rank else 1.0
        trial = TRAINED_S * share * (shape.body * tokens + shape.head * answers)
        total = self.num_trials * trial
        if name == "student" and self.has_signal:
            total += self._comparing(answers)
            total += self._on_policy() if training.on_policy else 0.0
        return total

    def _comparing(self, answers: float) -> float:
        """What the teacher's signal costs beside the text: heads that are multiplied besides."""
        training = self.recipe.training
        of_teacher = len(self.pool) / max(len(self.data.train) + len(self.pool), 1)
        work = 0.0
        if training.loss == "universal_logit":
            work += TRAINED_S * self.student.head
        if training.stored == "hidden" and self.teacher is not None:
            work += TRAINED_S / 3 * self.student.vocabulary * self.teacher.width
        return work * answers * of_teacher

    def _on_policy(self) -> float:
        """The student writes, as long as it may, and the teacher reads that."""
        assert self.teacher is not None, "the recipe refuses others"
        of_teacher = len(self.pool) / max(len(self.data.train) + len(self.pool), 1)
        rows = self.step_rows * of_teacher * self.recipe.training.on_policy
        limit = self.recipe.teacher.max_new_tokens
        tokens = self.row_tokens(self.pool) - self.answer_tokens + limit
        written = ANSWERED_S * (self.student.body * tokens + self.student.head * limit)
        read = TRAINED_S / 3 * (self.teacher.body * tokens + self.teacher.width * self.student.vocabulary * limit)
        return rows * (written + read)

    def judging(self) -> float:
        """Everybody writes the test answers, and says how likely it finds the wanted ones."""
        shapes = [shape for shape in (self.teacher, self.student, self.student) if shape is not None]
        tokens = 2 * len(self.data.test) * self.row_tokens(self.data.test)
        return ANSWERED_S * sum(shape.body + shape.head for shape in shapes) * tokens

    def calls(self) -> tuple[int, int, float]:
        """Calls of an API, tokens, and money; test rows are asked too."""
        spec = self.recipe.teacher
        if not isinstance(spec, OpenAIText):
            return 0, 0, 0.0
        chats = {chat.prompt: chat for chat in [*self.pool, *self.data.test]}.values()
        extra = len(spec.instructions) / CHARACTERS_A_TOKEN + TEMPLATE_TOKENS
        read = round(sum(len(_text(chat)) / CHARACTERS_A_TOKEN + extra for chat in chats))
        written = round(len(chats) * self.answer_tokens)
        return len(chats), read + written, spec.price(read, written)

    def over_budget(self, calls: int, tokens: int, cost: float) -> list[str]:
        spec = self.recipe.teacher
        if not isinstance(spec, OpenAIText):
            return []
        limits: dict[str, tuple[float, float | None]] = {
            "max_calls": (calls, spec.max_calls),
            "max_tokens": (tokens, spec.max_tokens),
            "max_cost": (cost, spec.max_cost),
        }
        return [f"teacher.{name}" for name, (value, limit) in limits.items() if limit is not None and value > limit]

    def memory_bytes(self) -> int:
        """The larger of tuning the teacher, and of training the student beside it."""
        return PROCESS_BYTES + round(max(self._tuning_bytes(), self._training_bytes()))

    def _tuning_bytes(self) -> float:
        spec, shape = self.recipe.teacher, self.teacher
        if not isinstance(spec, CausalLm) or shape is None or not spec.tune:
            return 0.0
        share = min(spec.tuned_layers or shape.layers, shape.layers) / shape.layers
        learned = share * shape.body + (shape.head if share == 1 else 0)
        resting = (shape.parameters - learned) * 4
        other = self.base.parameters * RESTING_BYTES if self.recipe.student.base else 0
        tokens = spec.batch_size * self.row_tokens(self.data.train)
        return LEARNED_BYTES * learned + resting + other + share * _kept_bytes(shape, tokens) + _head_bytes(shape)

    def _training_bytes(self) -> float:
        training, shape = self.recipe.training, self.student
        rank = self.recipe.student.lora_rank
        resting = {id(s): s.parameters * RESTING_BYTES for s in (self.teacher, self.base) if s is not None}
        learned = LEARNED_BYTES * (shape.low_rank(rank) if rank else shape.parameters)
        learned += 4 * shape.parameters if rank else 0
        # The best weights so far, and the models of trials that are over.
        kept = (4 + (2 * self.num_trials - 1) * RESTING_BYTES) * shape.parameters
        tokens = training.batch_size * self.row_tokens([*self.data.train, *self.pool]) * self.padding
        found = sum(resting.values()) + learned + kept + _kept_bytes(shape, tokens) + _head_bytes(shape)
        if training.packing:
            found += 4 * tokens**2  # who sees whom, in one piece
        if training.on_policy and self.teacher is not None and self.has_signal:
            found += shape.vocabulary * self.teacher.width * RESTING_BYTES + _head_bytes(shape)
            found += tokens * (KEPT_WIDTHS * self.teacher.width + KEPT_UNITS * self.teacher.feed_forward) * 2
        if self.has_signal:
            found += self._signal_bytes(is_packed=False)
        return found

    def _signal_bytes(self, *, is_packed: bool) -> float:
        """Of the teacher's answers: in the store, or unpacked as numbers of 8 and 4 bytes."""
        training, tokens = self.recipe.training, len(self.pool) * self.answer_tokens
        if not self.has_signal and not (is_packed and self.teacher is not None):
            return 4.0 * tokens
        if training.stored == "hidden":
            assert self.teacher is not None, "the recipe refuses others"
            return tokens * self.teacher.width * (1.75 if is_packed else 4)
        # `python -m benchmarks.token_store`: 29 bytes at 16 alternatives, 109 at 64; 10 for 12 draws.
        packed = 0.85 * training.top_k if training.stored == "sampled" else 2 + 1.7 * training.top_k
        return tokens * (packed if is_packed else 12 * training.top_k)

    def disk_bytes(self) -> int:
        """The store, checkpoints with the one that is being written, and the bundle with its file for llama.cpp."""
        spec, shape = self.recipe.teacher, self.student
        trials = 2 * self.num_trials
        kept = 4 * shape.parameters * (trials - 1) + CHECKPOINT_BYTES * shape.parameters
        if isinstance(spec, CausalLm) and self.teacher is not None and spec.tune:
            kept = max(kept + 4 * self.teacher.parameters, CHECKPOINT_BYTES * self.teacher.parameters)
        gguf = {"none": 0.0, "f16": 2.0, "bf16": 2.0}.get(self.recipe.gguf, 1.1)
        bundle = shape.parameters * (RESTING_BYTES + gguf)
        return round(kept + bundle + self._signal_bytes(is_packed=True)) + 2_000_000


def _text(chat: Chat) -> str:
    return "\n".join(f"{role}\n{content}" for role, content in chat.messages)


def _kept_bytes(shape: ModelShape, tokens: float) -> float:
    """What the backward pass needs of the forward."""
    return tokens * shape.layers * (KEPT_WIDTHS * shape.width + KEPT_UNITS * shape.feed_forward) * 2


def _head_bytes(shape: ModelShape) -> float:
    """Logits of a group of positions and what the loss makes of them."""
    return 3 * 4.0 * HEAD_GROUP * shape.vocabulary
