"""The middle of a run: every contender as a bundle, measured the same way in one process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill import __version__
from potstill.evaluation.assessment import Contender, Latency
from potstill.evaluation.calibration import fit_temperatures
from potstill.evaluation.memory import peak_memory_bytes
from potstill.evaluation.out_of_scope import choose_threshold
from potstill.exporters.bundle import BundleFacts, make_bundle, trace
from potstill.exporters.onnx import Precision
from potstill.recipe.contest import TrialResult
from potstill.recipe.measure import measure_models
from potstill.runtime import Model
from potstill.runtime.bundle import size_of
from potstill.runtime.manifest import Threshold
from potstill.students.base import Student
from potstill.types import FloatArray, Input, IntArray, LabelSchema

NUM_LATENCY_INPUTS = 50


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A contender as a bundle.

    Attributes:
        name: of the contender.
        title: what it is.
        folder: of its bundle.
        model: the bundle, loaded.
        student: the network that it was made from.
        result: the trial that won, None for a teacher.
    """

    name: str
    title: str
    folder: Path
    model: Model
    student: Student
    result: TrialResult | None


def calibrated(
    dev_logits: FloatArray, dev_labels: IntArray, schema: LabelSchema, licenses: dict[str, str]
) -> BundleFacts:
    """Temperatures and threshold from dev rows; rows marked out of scope may be among them."""
    inside = (dev_labels >= 0).any(1)
    chosen = choose_threshold(dev_logits, dev_labels, schema)
    return BundleFacts(
        temperatures=fit_temperatures(dev_logits[inside], dev_labels[inside], schema),
        threshold=Threshold(score=chosen[0], value=chosen[1]) if chosen else None,
        licenses=licenses,
        created_by=f"potstill {__version__}",
    )


def ship(
    name: str,
    title: str,
    student: Student,
    folder: Path,
    precision: Precision,
    probes: Sequence[Input],
    *,
    result: TrialResult | None = None,
) -> Shipped:
    """Exports a contender that is only compared: without calibration, which the assessment fits by itself."""
    facts = BundleFacts(temperatures=[1.0] * len(student.schema.fields), created_by=f"potstill {__version__}")
    model = make_bundle(folder, student, trace(student, probes[0]), precision, facts, probes)
    return Shipped(name=name, title=title, folder=folder, model=model, student=student, result=result)


def measure(shipped: Sequence[Shipped], inputs: Sequence[Input]) -> dict[str, Latency]:
    """Latency of all bundles, in turns."""
    return measure_models({item.name: item.model for item in shipped}, inputs[:NUM_LATENCY_INPUTS])


def as_contender(
    item: Shipped, latency: Latency | None, dev_inputs: Sequence[Input], test_inputs: Sequence[Input]
) -> Contender:
    """A bundle's answers and measures; its own runtime predicts."""
    return Contender(
        name=item.name,
        title=item.title,
        dev_logits=item.model.logits(dev_inputs),
        test_logits=item.model.logits(test_inputs),
        num_parameters=item.student.num_parameters,
        size_bytes=size_of(item.folder),
        latency=latency,
        peak_memory_bytes=peak_memory_bytes(item.folder),
        curve=tuple(item.result.state.curve) if item.result else (),
        notes=_notes(item.result),
    )


def from_trial(
    name: str, title: str, result: TrialResult, dev_inputs: Sequence[Input], test_inputs: Sequence[Input]
) -> Contender:
    """A trained network that is judged and not shipped."""
    return Contender(
        name=name,
        title=title,
        dev_logits=result.student.logits(dev_inputs),
        test_logits=result.student.logits(test_inputs),
        num_parameters=result.student.num_parameters,
        curve=tuple(result.state.curve),
        notes=_notes(result),
    )


def _notes(result: TrialResult | None) -> dict[str, str]:
    if result is None:
        return {}
    notes = {name: str(value) for name, value in result.trial.config().items()}
    if result.gradient_ratio is not None:
        notes["gradient_ratio"] = f"{result.gradient_ratio:.3g}"
    return notes
