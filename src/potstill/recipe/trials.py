"""Which settings are tried on dev: as many for the control as for the student.

The lists start from what won in our experiments (docs/log.md), so that a single trial is already a good guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from potstill.training.batches import steps_per_epoch
from potstill.training.settings import Training, Trial

# Fewer steps than this teach a small network nothing, however few the rows are.
LEAST_STEPS = 600

# Rate of the second training of a child over that of its first one: few weights move (docs/log.md).
SPARSE_RATE = 10.0

# Factors on the rate and additions to the dropout, in the order in which they are tried.
NEIGHBOURS = ((0.5, 0.0), (2.0, 0.0), (1.0, 0.2), (0.5, 0.2), (2.0, 0.2), (4.0, 0.0), (0.25, 0.0), (4.0, 0.2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """How a kind of network is trained, beside the small convolutional net for texts.

    Attributes:
        optimizer: `adamw`, or `sgd` with Nesterov momentum.
        rate_factor: its learning rate over that of the small convolutional net.
        head_rate: factor on the learning rate of its head.
        dropout: where the recipe is silent; None follows the data.
        weight_decay: None takes `training.weight_decay`, which is meant for AdamW.
        child_factor: factor on the learning rate of one that goes on from a parent. It knows most already; large steps
            would forget it and move every weight. Plain gradients want smaller ones still where normalisations, which
            even them out, are merged.
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    rate_factor: float = 1.0
    head_rate: float = 1.0
    dropout: float | None = None
    weight_decay: float | None = None
    child_factor: float = 0.1


DEFAULT_WAY = Way()
# A table of rare n-grams learns by plain gradients (and would forget faster than it learns with decay); so do residual
# networks, by six points in a short training; networks of few filters bear large rates; an encoder keeps what it knows
# at small ones, at which a head that knows nothing yet would never arrive.
WAYS = {
    "linear": Way(optimizer="sgd", rate_factor=3000.0, weight_decay=0.0),
    "resnet": Way(optimizer="sgd", rate_factor=70.0, weight_decay=5e-4, child_factor=0.01),
    "ds_cnn": Way(rate_factor=3.0),
    "bc_resnet": Way(rate_factor=3.0),
    "encoder": Way(rate_factor=0.1, head_rate=20.0, dropout=0.1),
}


def way_of(kind: str) -> Way:
    """How a builder of this kind is trained."""
    return WAYS.get(kind, DEFAULT_WAY)


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """Settings that follow the data where the recipe is silent."""

    num_epochs: int
    learning_rate: float
    dropout: float
    temperature: float


def defaults(
    training: Training,
    *,
    num_labelled: int,
    num_unlabelled: int,
    way: Way = DEFAULT_WAY,
    is_text: bool = True,
) -> Defaults:
    """Few labels beside a pool want short, fast, mild training; many labels, pictures and sounds want longer."""
    if not is_text:
        found = Defaults(num_epochs=24, learning_rate=3e-3, dropout=0.0, temperature=4.0)
    elif num_unlabelled >= num_labelled:
        found = Defaults(num_epochs=8, learning_rate=2e-3, dropout=0.2, temperature=1.0)
    else:
        found = Defaults(num_epochs=40, learning_rate=2e-3, dropout=0.3, temperature=2.0)
    return Defaults(
        num_epochs=training.num_epochs or found.num_epochs,
        learning_rate=training.learning_rate or found.learning_rate * way.rate_factor,
        dropout=next(share for share in (training.dropout, way.dropout, found.dropout) if share is not None),
        temperature=training.temperature or found.temperature,
    )


def count_steps(training: Training, num_epochs: int, num_rows: int) -> int:
    """Optimizer steps of every trial of student and control."""
    steps = num_epochs * steps_per_epoch(num_rows, training.batch_size)
    if training.num_epochs is None:
        steps = max(steps, LEAST_STEPS)
    return steps


def student_trials(training: Training, base: Defaults, num_steps: int) -> list[Trial]:
    """Soft labels at the default temperature, hard labels, then other temperatures, rates and dropouts."""
    soft = Trial(
        name="soft",
        signal="soft",
        temperature=base.temperature,
        learning_rate=base.learning_rate,
        dropout=base.dropout,
        num_steps=num_steps,
    )
    soft = replace(soft, name=f"soft T={base.temperature:g}")
    hard = replace(soft, name="hard", signal="hard", temperature=1.0)
    if training.signal == "hard":
        return _tuned(hard)[: training.num_trials]
    others: list[Trial] = []
    if training.temperature is None:
        others = [replace(soft, name=f"soft T={t:g}", temperature=t) for t in (1.0, 2.0, 4.0) if t != base.temperature]
    if training.signal == "auto":
        others.insert(0, hard)
    return [soft, *others, *_tuned(soft)[1:]][: training.num_trials]


def control_trials(training: Training, base: Defaults, num_steps: int, *, is_linear: bool = False) -> list[Trial]:
    """Rates, dropouts, smoothing and word dropout: what a control alone can turn.

    A linear model has no hidden features to regularize: its rate and dropout are what counts.
    """
    plain = Trial(
        name="plain",
        signal="none",
        temperature=1.0,
        learning_rate=base.learning_rate,
        dropout=base.dropout,
        num_steps=num_steps,
    )
    if is_linear:
        return _tuned(plain)[: training.num_trials]
    regular = replace(plain, name="dropout", dropout=max(0.5, base.dropout), learning_rate=base.learning_rate / 2)
    augmented = replace(regular, name="dropout, augmentation", augmentation=0.1)
    smooth = replace(regular, name="dropout, smoothing", label_smoothing=0.1)
    return [plain, regular, augmented, smooth, *_tuned(plain)[1:]][: training.num_trials]


def sparse_trial(first: Trial) -> Trial:
    """The second training of a child, of what moved most in the first one alone: few weights bear a larger rate."""
    return replace(first, name=f"{first.name}, most moved alone", learning_rate=first.learning_rate * SPARSE_RATE)


def _tuned(trial: Trial) -> list[Trial]:
    """The trial itself, then its neighbours in rate and dropout."""
    found = [trial]
    for rate, dropout in NEIGHBOURS:
        found.append(
            replace(
                trial,
                name=f"{trial.name}, lr x {rate:g}, dropout + {dropout:g}",
                learning_rate=trial.learning_rate * rate,
                dropout=min(0.9, trial.dropout + dropout),
            )
        )
    return found


def is_better(score: float, than: float) -> bool:
    """Lower NLL wins; a number beats NaN."""
    return not math.isnan(score) and (math.isnan(than) or score < than)
