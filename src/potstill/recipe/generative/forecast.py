"""What a run whose student writes will take, before anything is started. A rough guess, and said to be one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from potstill.data.prompts import load_prompts
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.signals.prefixes import plan_prefixes
from potstill.teachers.causal_lm import CausalLm

# CPU seconds of 1,000 tokens and of a billion parameters on one thread that computes in bf16, from a prototype; without
# bf16 instructions several times more.
TUNED_S, ANSWERED_S, TRAINED_S = 30.0, 8.0, 30.0
CHARACTERS_A_TOKEN = 4
PACKAGED_PARAMETERS = 0.135
BYTES_A_PARAMETER = 2


@dataclass(frozen=True, kw_only=True)
class GenerativeForecast:
    """What a run will take.

    Attributes:
        num_rows: rows by part.
        teacher_rows: prompts that the teacher is asked, if none is in the store.
        prompt_tokens: of these, about.
        share_reused: share of them that a shared beginning saves.
        cpu_seconds: of one thread, about.
    """

    num_rows: dict[str, int]
    teacher_rows: int
    prompt_tokens: int
    share_reused: float
    cpu_seconds: float

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        rows = ", ".join(f"{count:,} {name}" for name, count in self.num_rows.items())
        return (
            f"rows: {rows}\nteacher: {self.teacher_rows:,} prompts of about {self.prompt_tokens:,} tokens; shared "
            f"beginnings save {100 * self.share_reused:.0f} % of them\n"
            f"time: about {self.cpu_seconds / 60:.0f} minutes of one CPU thread"
        )


def forecast_generative(recipe: GenerativeRecipe) -> GenerativeForecast:
    """Reads the data and reckons; no model is loaded. Characters stand for tokens, four for one.

    Raises:
        DataError: the rows can't be used as they are.
    """
    data = load_prompts(recipe.data, seed=recipe.seed)
    pool = data.unlabelled or data.train
    texts = ["\n".join(f"{role}\n{content}" for role, content in chat.messages) for chat in pool]
    plan = plan_prefixes([list(text.encode()[::CHARACTERS_A_TOKEN]) for text in texts])
    gold = sum(sum(len(c) for _, c in chat.messages) + len(chat.answer or "") for chat in data.train)
    per_row = gold / max(len(data.train), 1) / CHARACTERS_A_TOKEN + 8
    spec = recipe.teacher
    is_local = isinstance(spec, CausalLm)
    tuned = spec.num_epochs * len(data.train) * per_row * spec.tune if isinstance(spec, CausalLm) else 0.0
    num_steps = recipe.training.num_steps(len(data.train) + len(pool))
    num_trials = 4 if recipe.training.signal == "auto" else 2
    trained = num_trials * num_steps * recipe.training.batch_size * per_row
    size = PACKAGED_PARAMETERS
    seconds = size * (TUNED_S * tuned + ANSWERED_S * is_local * plan.num_tokens * (1 - plan.share_reused))
    seconds += size * recipe.student.layers / 30 * TRAINED_S * trained
    return GenerativeForecast(
        num_rows={"train": len(data.train), "dev": len(data.dev), "test": len(data.test), "unlabelled": len(pool)},
        teacher_rows=len(pool),
        prompt_tokens=plan.num_tokens,
        share_reused=round(plan.share_reused, 3),
        cpu_seconds=round(seconds / 1000, 1),
    )
