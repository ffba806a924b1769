"""Which student: what the recipe names, the default of the data, or the best candidate within a budget."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill.errors import ConfigurationError
from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.recipe.measure import measure_models
from potstill.recipe.recipe import Budget, Recipe
from potstill.runtime.bundle import size_of
from potstill.students import Cnn, DsCnn, Encoder, Linear, ResNet, Static, StudentBuilder, StudentContext
from potstill.types import Finding

# From the strongest to the weakest in our experiments (docs/log.md). Size and latency are measured here, on the
# user's own data and machine; the order is a guess that dev confirms or doesn't.
TEXT_CANDIDATES: tuple[StudentBuilder, ...] = (
    Encoder(layers=(0, 3)),
    Encoder(layers=(0, 3), num_heads=6, feed_forward=384),
    Cnn(),
    Cnn(width=96, narrow_filters=128, wide_filters=96),
    Cnn(width=64, narrow_filters=96, wide_filters=64),
    Static(),
    Static(width=64, hidden=128),
    Linear(num_buckets=4096),
    Linear(num_buckets=1024, char_ngrams=(2, 3)),
)
PICTURE_CANDIDATES: tuple[StudentBuilder, ...] = (
    ResNet(depth=14, width=32),
    ResNet(depth=14, width=16),
    ResNet(depth=8, width=16),
    ResNet(depth=8, width=12),
    ResNet(depth=8, width=8),
    DsCnn(width=32, num_blocks=4),
    ResNet(depth=8, width=4),
)
SOUND_CANDIDATES: tuple[StudentBuilder, ...] = (
    ResNet(depth=14, width=16),
    ResNet(depth=8, width=12),
    DsCnn(width=64, num_blocks=5),
    DsCnn(width=48, num_blocks=4),
    DsCnn(width=32, num_blocks=4),
    DsCnn(width=24, num_blocks=3),
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A builder and why it was taken.

    Attributes:
        builder: what builds the student.
        reasons: what was measured, and what decided.
    """

    builder: StudentBuilder
    reasons: tuple[Finding, ...]


def choose_student(recipe: Recipe, context: StudentContext) -> Choice:
    """Returns the student of a run.

    Raises:
        ConfigurationError: no candidate fits the budget; the message lists what was measured.
    """
    if recipe.student is not None:
        return Choice(builder=recipe.student, reasons=(Finding("student_named", {"kind": recipe.student.kind}),))
    modality = recipe.data.modality
    candidates = {"text": TEXT_CANDIDATES, "image": PICTURE_CANDIDATES, "audio": SOUND_CANDIDATES}[modality]
    if recipe.budget == Budget():
        defaults: dict[str, StudentBuilder] = {"text": Cnn(), "image": ResNet(), "audio": DsCnn()}
        builder = defaults[modality]
        return Choice(builder=builder, reasons=(Finding("student_default", {"kind": builder.kind}),))
    if context.encoder is None:
        candidates = tuple(candidate for candidate in candidates if not isinstance(candidate, Encoder))
    return _within_budget(recipe.budget, candidates, context)


def _within_budget(budget: Budget, candidates: Sequence[StudentBuilder], context: StudentContext) -> Choice:
    said: list[Finding] = []
    for builder in candidates:
        size_bytes, latency_ms = weigh(builder, context)
        fits = (budget.size_bytes is None or size_bytes <= budget.size_bytes) and (
            budget.latency_ms is None or latency_ms <= budget.latency_ms
        )
        code = "candidate_fits" if fits else "candidate_too_large"
        said.append(
            Finding(code, {"name": _name(builder), "size_bytes": size_bytes, "latency_ms": round(latency_ms, 3)})
        )
        if fits:
            return Choice(builder=builder, reasons=tuple(said))
    raise ConfigurationError(
        "no student fits the budget. Measured on this machine, from the strongest to the smallest:\n"
        + "\n".join("{name}: {size_bytes:,} bytes, {latency_ms} ms".format(**finding.values) for finding in said)
        + "\nRaise the budget, or name a smaller student in a recipe."
    )


def weigh(builder: StudentBuilder, context: StudentContext) -> tuple[int, float]:
    """Bytes of the bundle with int8 weights, and median latency in ms; neither depends on training."""
    student = builder.build(context, dropout=0.0)
    inputs = list(context.transfer_inputs[:30])
    facts = BundleFacts(temperatures=[1.0] * len(student.schema.fields))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle"
        model = make_bundle(path, student, trace(student, inputs[0]), "int8_weights", facts, inputs)
        latency = measure_models({"student": model}, inputs, num_calls=60)["student"]
        return size_of(path), latency.p50


def _name(builder: StudentBuilder) -> str:
    options = {name: value for name, value in builder.config().items() if name != "kind"}
    return f"{builder.kind} ({', '.join(f'{name} {value}' for name, value in options.items())})"
