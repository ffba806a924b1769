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
        base: model that it is cut from, a folder or a .gguf file; empty takes the teacher where it is at hand, and the
            packaged one where it is not. A base with other tokens than the teacher's learns by `universal_logit`, or
            from `text`, also where the teacher is behind an API.
        layers: how many stay; no more than there are.
        spread: `first` keeps the lowest, `even` spreads them.
        trim_vocabulary: keep the pieces of the texts at hand alone.
        groups: key-value heads, each with its query heads, that stay in a layer; those that say most on the training
            prompts. 0 keeps all.
        feed_forward: feed-forward units that stay in a layer, chosen alike. 0 keeps all.
        lora_rank: learn changes of this rank beside weights that stay as they are (PEFT), merged at the end; for a
            student that is cut little. 0 learns all weights.
    """

    base: str = ""
    layers: int = 8
    spread: Literal["first", "even"] = "first"
    trim_vocabulary: bool = True
    groups: int = 0
    feed_forward: int = 0
    lora_rank: int = 0

    def __post_init__(self) -> None:
        for name in ("layers", "groups", "feed_forward", "lora_rank"):
            if getattr(self, name) < (name == "layers"):
                raise ConfigurationError(f"student.{name} is {getattr(self, name)}; it can't be that few")


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
        loss: compares with stored alternatives; `universal_logit` by rank, beside what the teacher wrote, where the
            student has other tokens than the teacher.
        stored: what is kept of the teacher's opinion of a token: `top_k` alternatives with the mass of the rest; as
            many draws (`sampled`, unbiased, for forward KL alone); or its `hidden` state (in fp16, 1 kB a token).
        top_k: alternatives, or draws, kept with each token.
        on_policy: share, of the rows that the teacher answered, whose answers the student writes itself in every step
            and the teacher scores (GKD); for a teacher at hand, and the signal `top_k`.
        packing: put the rows of a step behind each other in place of padding them; no row sees another.
        precision: `auto` times fp32 and bf16 once and takes the faster.
        num_threads: of torch; part of what makes a run repeatable.
        checkpoint_every_s: seconds between checkpoints; it changes no result.
        num_checkpoints: evaluations, counted from the last, whose weights become bundles of their own beside the
            student's, under `checkpoints/`.
    """

    num_epochs: float = 3.2
    least_steps: int = 300
    batch_size: int = 16
    learning_rate: float = 5e-4
    signal: Literal["auto", "top_k", "text"] = "auto"
    loss: Literal["forward_kl", "reverse_kl", "jensen_shannon", "skewed_kl", "universal_logit"] = "forward_kl"
    stored: Literal["top_k", "sampled", "hidden"] = "top_k"
    top_k: int = 16
    on_policy: float = 0.0
    packing: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    num_threads: int = 1
    checkpoint_every_s: float = 120.0
    num_checkpoints: int = 0

    def __post_init__(self) -> None:
        for name in ("num_epochs", "least_steps", "batch_size", "learning_rate", "top_k", "num_threads"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"training.{name} is {getattr(self, name)}; it must be above 0")
        if self.num_checkpoints < 0:
            raise ConfigurationError(f"training.num_checkpoints is {self.num_checkpoints}; it must be at least 0")
        if self.stored == "sampled" and self.loss != "forward_kl":
            raise ConfigurationError(
                f"training.stored is sampled, and {self.loss} is biased on draws. Set training.loss=forward_kl, or "
                "training.stored=top_k."
            )
        if not 0 <= self.on_policy <= 1:
            raise ConfigurationError(f"training.on_policy is {self.on_policy}; it is a share, in [0, 1]")
        if self.on_policy and self.loss == "universal_logit":
            raise ConfigurationError(
                "training.on_policy learns from what the teacher would have said in place of the student's own words, "
                "and training.loss=universal_logit compares how sure both are and never of what. Choose another loss, "
                "or set training.on_policy=0."
            )
        if self.on_policy and self.signal == "text":
            raise ConfigurationError(
                "training.on_policy lets the teacher score what the student writes, and training.signal=text learns "
                "from texts alone. Set training.signal=top_k, or training.on_policy=0."
            )

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
        if self.training.stored != "top_k" and not isinstance(self.teacher, CausalLm):
            raise ConfigurationError(
                f"training.stored is {self.training.stored}, and a teacher behind an API or on record gives top_k at "
                "most. Leave it out."
            )
        if self.training.loss == "universal_logit" and self.training.signal != "text" and self.gives_text:
            name = "top_logprobs" if isinstance(self.teacher, OpenAIText) else "logprobs"
            raise ConfigurationError(
                f"training.loss=universal_logit compares how sure the teacher was, and without teacher.{name} it gives "
                "texts alone. Set that, or leave the loss out."
            )
        if self.training.on_policy and not isinstance(self.teacher, CausalLm):
            raise ConfigurationError(
                "training.on_policy asks the teacher about every text that the student writes, which a teacher behind "
                "an API or on record can't answer. Give a language model as the teacher, or set training.on_policy=0."
            )

    @property
    def gives_text(self) -> bool:
        """Whether nothing but the teacher's texts is asked for."""
        match self.teacher:
            case OpenAIText():
                return not self.teacher.top_logprobs
            case RecordedText():
                return not self.teacher.logprobs
        return False

    def to_json(self) -> dict[str, Any]:
        """Everything, defaults included, as JSON values."""
        return {"kind": "generative", **asdict(self)}

    def digest(self) -> str:
        """SHA-256 of everything."""
        return digest(self.to_json())
