"""The typed description of a run whose student writes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, final

from potstill.data.prompts import PromptOptions
from potstill.errors import ConfigurationError
from potstill.files import digest
from potstill.recipe.recipe import Gates
from potstill.teachers.causal_lm import CausalLm
from potstill.teachers.openai_text import OpenAIText, RecordedText

TEACHERS: dict[str, type[Any]] = {"causal_lm": CausalLm, "openai": OpenAIText, "recorded": RecordedText}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CausalCut:
    """The student: layers of a larger model with the vocabulary of the texts at hand.

    Attributes:
        base: model that it is cut from where the teacher is not at hand, a folder or a .gguf file; empty takes the
            packaged one. A teacher at hand is itself what the student is cut from.
        layers: how many stay; no more than there are.
        spread: `first` keeps the lowest, `even` spreads them.
        trim_vocabulary: keep the pieces of the texts at hand alone.
    """

    base: str = ""
    layers: int = 8
    spread: Literal["first", "even"] = "first"
    trim_vocabulary: bool = True


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GenerativeTraining:
    """How student and control are trained.

    Attributes:
        num_epochs: passes over the student's rows; the control gets the same number of steps.
        least_steps: fewer teach nothing, however few the rows are.
        batch_size: rows a step.
        learning_rate: peak of the schedule.
        signal: `top_k` learns from the teacher's stored alternatives, `text` from what it wrote; `auto` tries both on
            dev, and gives the control a second learning rate.
        loss: compares with stored alternatives.
        top_k: alternatives kept with each token, beside the mass of the rest.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_threads: of torch; part of what makes a run repeatable.
        checkpoint_every_s: seconds between checkpoints; it changes no result.
    """

    num_epochs: float = 3.2
    least_steps: int = 300
    batch_size: int = 16
    learning_rate: float = 5e-4
    signal: Literal["auto", "top_k", "text"] = "auto"
    loss: Literal["forward_kl", "reverse_kl", "jensen_shannon", "skewed_kl"] = "forward_kl"
    top_k: int = 16
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_threads: int = 1
    checkpoint_every_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("num_epochs", "least_steps", "batch_size", "learning_rate", "top_k", "num_threads"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"training.{name} is {getattr(self, name)}; it must be above 0")

    def num_steps(self, num_rows: int) -> int:
        """Optimizer steps of every trial of student and control."""
        return max(self.least_steps, round(self.num_epochs * num_rows / self.batch_size))


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class GenerativeRecipe:
    """One run.

    Attributes:
        data: which rows, which columns.
        teacher: who is asked.
        student: what learns.
        training: how.
        gates: what must hold; `accuracy` is the exact match.
        license: SPDX name of the licence that the bundle is given out under, empty when unknown.
        gguf: how weights are rounded in the file for llama.cpp; `none` writes no such file.
        baseline: train hashed n-grams beside it where the answers are a closed set.
        seed: of everything random.
    """

    data: PromptOptions
    teacher: CausalLm | OpenAIText | RecordedText = field(default_factory=CausalLm)
    student: CausalCut = field(default_factory=CausalCut)
    training: GenerativeTraining = field(default_factory=GenerativeTraining)
    gates: Gates = field(default_factory=Gates)
    license: str = ""
    gguf: Literal["q8_0", "f16", "bf16", "q5_1", "q5_0", "q4_1", "q4_0", "none"] = "q8_0"
    baseline: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.student.base and isinstance(self.teacher, CausalLm):
            raise ConfigurationError(
                "student.base names a model to cut the student from, and the student of a language model at hand is "
                "cut from that teacher, whose tokens it must share. Leave student.base out."
            )

    def to_json(self) -> dict[str, Any]:
        """Everything, defaults included, as JSON values."""
        return {"kind": "generative", **asdict(self)}

    def digest(self) -> str:
        """SHA-256 of everything."""
        return digest(self.to_json())
