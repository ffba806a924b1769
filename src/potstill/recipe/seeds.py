"""Student and control with further seeds, as pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.evaluation.assessment import Interval
from potstill.evaluation.metrics import answers, is_right
from potstill.evaluation.significance import paired_interval
from potstill.recipe.contest import Ground, run_trial
from potstill.recipe.field import Field
from potstill.recipe.teaching import Teaching


@dataclass(frozen=True, kw_only=True)
class SeedPairs:
    """What every seed gave.

    Attributes:
        accuracies: (seed, student, control) on test.
        difference: mean over seeds of student minus control.
        difference_ci: interval over the test rows, which covers neither the draw of labels nor the teacher's seed.
    """

    accuracies: tuple[tuple[int, float, float], ...]
    difference: float
    difference_ci: Interval

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "pairs": [
                {"seed": seed, "student": student, "control": control} for seed, student, control in self.accuracies
            ],
            "difference": self.difference,
            "difference_ci": list(self.difference_ci),
        }


def train_pairs(
    field: Field, teaching: Teaching, grounds: dict[int, Ground], *, first_seed: int, is_refit: bool
) -> SeedPairs:
    """Trains the settings that won with every further seed, and compares row by row.

    Args:
        field: of the first seed.
        teaching: the last one.
        grounds: seed -> ground, without the first.
        first_seed: of the field.
        is_refit: stop at the steps that were best in the first round, since nothing is left to choose on.
    """
    inside = np.flatnonzero((teaching.test.labels >= 0).any(1))
    test = teaching.test.take(inside)
    rights: dict[str, list[Any]] = {"student": [], "control": []}
    for name, rows in rights.items():
        item = field.trained[name]
        results = [item.result]
        stop = item.result.state.step if is_refit else None
        for seed, ground in grounds.items():
            results.append(
                run_trial(name, item.builder, item.result.trial, item.lesson, ground, seed=seed, stop_after=stop)
            )
        for result in results:
            said = answers(result.student.logits(test.inputs), teaching.schema)
            rows.append(is_right(said, test.labels))
    student_SN, control_SN = np.array(rights["student"], float), np.array(rights["control"], float)
    difference_N = student_SN.mean(0) - control_SN.mean(0)
    seeds = [first_seed, *grounds]
    return SeedPairs(
        accuracies=tuple(zip(seeds, student_SN.mean(1).tolist(), control_SN.mean(1).tolist(), strict=True)),
        difference=float(difference_N.mean()),
        difference_ci=paired_interval(difference_N, seed=first_seed),
    )
