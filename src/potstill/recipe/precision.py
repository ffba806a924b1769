"""Which precision ships: the smallest that loses nothing, or one of about its size that is clearly faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from potstill.evaluation.assess import agreement, mean_kl
from potstill.evaluation.metrics import accuracy, answers
from potstill.exporters.bundle import PRECISIONS, BundleFacts, make_bundle
from potstill.exporters.precisions import Precision
from potstill.recipe.measure import measure_models
from potstill.report.content import PrecisionFact
from potstill.runtime.bundle import size_of
from potstill.students.base import Student
from potstill.types import Input, IntArray

LEAST_AGREEMENT = 0.99
LARGEST_ACCURACY_LOSS = 0.005
LARGEST_KL = 0.01
# Among precisions within this factor of the smallest file, speed decides.
ABOUT_SMALLEST = 1.5
CLEARLY_FASTER = 1.3


@dataclass(frozen=True, kw_only=True)
class Trying:
    """Rows that the precisions are compared on; never test rows.

    Attributes:
        inputs: transfer and dev inputs.
        dev_inputs: those with labels.
        dev_labels: N_dev x L.
    """

    inputs: Sequence[Input]
    dev_inputs: Sequence[Input]
    dev_labels: IntArray


def compare_precisions(
    student: Student, fp32_model: bytes, facts: BundleFacts, rows: Trying, folder: Path, *, wish: str
) -> tuple[Precision, list[PrecisionFact]]:
    """Makes a bundle in each precision under `folder`, measures all three and chooses.

    Args:
        student: the trained student.
        fp32_model: its traced network.
        facts: for the manifests.
        rows: to compare on.
        folder: gets one bundle a precision.
        wish: `auto` or a precision.
    """
    models = {p: make_bundle(folder / p, student, fp32_model, p, facts, rows.inputs) for p in PRECISIONS}
    latency = measure_models({str(p): m for p, m in models.items()}, rows.inputs[:50], num_calls=100)
    logits = {p: model.logits(rows.inputs) for p, model in models.items()}
    dev = {p: accuracy(m.logits(rows.dev_inputs), rows.dev_labels, student.schema) for p, m in models.items()}
    found = []
    for p in PRECISIONS:
        same = agreement(answers(logits[p], student.schema), answers(logits["fp32"], student.schema))
        change = float(np.nan_to_num(dev[p] - dev["fp32"]))
        divergence = mean_kl(logits["fp32"], logits[p], student.schema)
        found.append(
            PrecisionFact(
                precision=p,
                size_bytes=size_of(folder / p),
                latency_ms=latency[p].model_p50,
                agreement=same,
                accuracy_change=change,
                mean_kl=divergence,
                passed=same >= LEAST_AGREEMENT and change >= -LARGEST_ACCURACY_LOSS and divergence <= LARGEST_KL,
                chosen=False,
            )
        )
    chosen = choose(found) if wish == "auto" else wish
    marked = [replace(fact, chosen=fact.precision == chosen) for fact in found]
    return next(p for p in PRECISIONS if p == chosen), marked


def choose(facts: Sequence[PrecisionFact]) -> str:
    """The smallest of those that passed, unless another of about its size is clearly faster; fp32 always passes.

    Two measurements of the same network differ by a tenth on a busy machine, so a small difference decides nothing.
    """
    passed = sorted((fact for fact in facts if fact.passed), key=lambda fact: (fact.size_bytes, fact.precision))
    chosen = passed[0]
    for fact in passed[1:]:
        is_small = fact.size_bytes <= ABOUT_SMALLEST * passed[0].size_bytes
        if is_small and fact.latency_ms * CLEARLY_FASTER < chosen.latency_ms:
            chosen = fact
    return chosen.precision
