"""What a recipe will take, before anything is started. A rough guess, and said to be one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from potstill.data import Data, load_data
from potstill.data.rows import Rows, row_digest
from potstill.recipe.recipe import Recipe
from potstill.recipe.teaching import USUAL_VIEWS
from potstill.recipe.trials import count_steps, defaults
from potstill.teachers import Ensemble, TeacherSpec
from potstill.types import Input

# Rows and steps per second of one thread, from the times that `python -m benchmarks.text banking-few` and `korean`
# print beside their stages; `huggingface` is a third of the encoder's, for the larger models that people bring.
# Pictures of 32 x 32 and sounds of a second likewise, from `python -m benchmarks.pictures` and `voice`; larger pictures
# cost more in a teacher that keeps their size.
TRAINED_ROWS_PER_S = {"encoder": 115.0, "scratch": 1300.0, "ngrams": 1200.0, "network": 190.0, "module": 300.0}
ANSWERED_ROWS_PER_S = {
    "encoder": 370.0,
    "scratch": 5500.0,
    "ngrams": 5000.0,
    "huggingface": 120.0,
    "network": 600.0,
    "module": 550.0,
    "probe": 300.0,
    "onnx": 300.0,
}
# Passes over the labelled rows: rows in all, the least and the most passes. N-grams are fitted, not trained.
EPOCHS = {
    "encoder": (40_000, 2, 15),
    "scratch": (600_000, 5, 40),
    "ngrams": (0, 1, 1),
    "network": (600_000, 10, 60),
    "sounds": (40_000, 10, 60),
    "module": (0, 0, 0),
}
STUDENT_STEPS_PER_S = {"text": 75.0, "image": 22.0, "audio": 11.0}
EXPORT_S = 30.0
BYTES_PER_PARAMETER = 4
ENCODER_PARAMETERS = 23_000_000


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a run will take.

    Attributes:
        num_rows: rows by part.
        teacher_rows: distinct inputs that the teacher is asked about, if none is in the store.
        teacher_calls: calls to an API, 0 for a local teacher.
        teacher_tokens: tokens of these calls.
        teacher_cost: their price, in the currency of the recipe's prices.
        cpu_seconds: of one thread.
        memory_bytes: at the peak, about.
        disk_bytes: of the run folder, about.
    """

    num_rows: dict[str, int]
    teacher_rows: int
    teacher_calls: int
    teacher_tokens: int
    teacher_cost: float
    cpu_seconds: float
    memory_bytes: int
    disk_bytes: int

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        rows = ", ".join(f"{count:,} {name}" for name, count in self.num_rows.items())
        lines = [
            f"rows: {rows}",
            f"time: about {self.cpu_seconds / 60:.0f} minutes of one CPU thread",
            f"memory: about {self.memory_bytes / 1e9:.1f} GB; disk: about {self.disk_bytes / 1e6:.0f} MB",
        ]
        if self.teacher_calls:
            lines.append(
                f"teacher: {self.teacher_calls:,} calls, about {self.teacher_tokens:,} tokens, cost "
                f"{self.teacher_cost:.2f}"
            )
        return "\n".join(lines)


def forecast(recipe: Recipe) -> Forecast:
    """Reads the data and reckons; nothing is trained, no teacher is asked.

    Raises:
        DataError: the rows can't be used as they are.
    """
    data = load_data(recipe.data, seed=recipe.seed, carry_columns=hasattr(recipe.teacher, "columns"))
    parts = {"train": data.train, "dev": data.dev, "test": data.test, "unlabelled": data.unlabelled}
    inputs = [value for rows in parts.values() for value in rows.inputs]
    calls = _calls(recipe, data, inputs)
    is_refit = recipe.wants_refit(num_labelled=len(data.train), num_unlabelled=len(data.unlabelled))
    num_views = 1
    if data.options.modality != "text" and getattr(recipe.teacher, "sees_views", True):
        num_views = recipe.training.num_views or USUAL_VIEWS
    teacher = _teacher_seconds(recipe, recipe.teacher, data.train, num_views * len(inputs))
    is_encoder = recipe.teacher.kind == "encoder"
    parameters = ENCODER_PARAMETERS * BYTES_PER_PARAMETER if is_encoder else 0
    return Forecast(
        num_rows={name: len(rows) for name, rows in parts.items()},
        teacher_rows=num_views * len({row_digest(value) for value in inputs}),
        **calls,
        cpu_seconds=round((1 + is_refit) * teacher + _student_seconds(recipe, data, is_refit=is_refit), 1),
        memory_bytes=600_000_000 + 5 * parameters + sum(map(_held_bytes, inputs)),
        disk_bytes=4 * parameters + 30_000_000,
    )


def _held_bytes(value: Input) -> int:
    """Of one input with its encoded form, about."""
    return 2000 if isinstance(value, str) else 500 + 3 * value.nbytes


def _calls(recipe: Recipe, data: Data, inputs: list[Input]) -> dict[str, Any]:
    ask = getattr(recipe.teacher, "forecast", None)
    found = ask(inputs, data.full_schema) if ask else {"calls": 0, "tokens": 0, "cost": 0.0}
    return {f"teacher_{name}": found[name] for name in ("calls", "tokens", "cost")}


def _teacher_seconds(recipe: Recipe, teacher: TeacherSpec, train: Rows, num_inputs: int) -> float:
    if isinstance(teacher, Ensemble):
        return sum(_teacher_seconds(recipe, member, train, num_inputs) for member in teacher.members)
    kind = teacher.kind
    num_folds = getattr(teacher, "num_folds", 1)
    seconds = num_folds * num_inputs / ANSWERED_ROWS_PER_S[kind] if kind in ANSWERED_ROWS_PER_S else 0.0
    if kind in TRAINED_ROWS_PER_S:
        is_sound = kind == "network" and recipe.data.modality == "audio"
        scale, low, high = EPOCHS["sounds" if is_sound else kind]
        wished = getattr(teacher, "num_epochs", None)
        num_epochs = wished or min(max(round(scale / max(len(train), 1)), low), high)
        seconds += num_folds * num_epochs * len(train) / TRAINED_ROWS_PER_S[kind]
    return seconds


def _student_seconds(recipe: Recipe, data: Data, *, is_refit: bool) -> float:
    training = recipe.training
    num_labelled = len(data.train)
    num_rows = num_labelled + len(data.unlabelled)
    modality = data.options.modality
    is_text = modality == "text"
    num_unlabelled = num_rows - num_labelled
    base = defaults(training, num_labelled=num_labelled, num_unlabelled=num_unlabelled, is_text=is_text)
    num_contests = 2 + (recipe.controls.baseline and is_text)
    # A refit trains the winners once more, and the best student on the other kind of label.
    num_trainings = num_contests * training.num_trials + is_refit * (num_contests + 1) + 2 * (recipe.num_seeds - 1)
    num_steps = count_steps(training, base.num_epochs, num_rows)
    return num_trainings * num_steps / STUDENT_STEPS_PER_S[modality] + EXPORT_S
