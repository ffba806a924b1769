"""The end of a run: everybody as a bundle or a network, measured and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.evaluation.assess import assess
from potstill.evaluation.assessment import Assessment, Contender
from potstill.exporters.bundle import NUM_CALIBRATION, trace
from potstill.exporters.precisions import Precision
from potstill.exporters.source import keep_source
from potstill.recipe.field import Field, Trained
from potstill.recipe.precision import Trying, compare_precisions
from potstill.recipe.shipping import Shipped, as_contender, calibrated, from_trial, measure, ship
from potstill.recipe.teaching import Teaching
from potstill.report import PrecisionFact
from potstill.runtime import load
from potstill.teachers.trained import TrainedTeacher
from potstill.types import Input, Progress

NUM_COMPARED = 2000
SHIPPED = ("student", "control", "baseline")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What was found.

    Attributes:
        assessment: the finding.
        precisions: of the student's bundle.
        precision: the one that ships.
    """

    assessment: Assessment
    precisions: list[PrecisionFact]
    precision: Precision


def judge(
    field: Field,
    first: Teaching,
    last: Teaching,
    folder: Path,
    *,
    teacher_title: str,
    wish: str,
    licenses: Mapping[str, str],
    seed: int,
    progress: Progress,
) -> Judgement:
    """Exports, measures and judges.

    Args:
        field: everybody, as they ship.
        first: the round in which dev chose; its dev rows calibrate.
        last: the round whose teacher taught, and whose test rows judge.
        folder: gets a bundle for each contender.
        teacher_title: what the teacher is.
        wish: precision of the bundle, or `auto`.
        licenses: for the manifest.
        seed: of the bootstrap.
        progress: where it says how far it is.
    """
    progress.stage("export")
    probes: list[Input] = [*first.dev.inputs, *last.student.inputs][:NUM_CALIBRATION]
    student = field.trained["student"]
    facts = calibrated(student.dev_logits, first.scope_dev.labels, last.schema, dict(licenses))
    compared = Trying(
        inputs=list(last.student.inputs[:NUM_COMPARED]), dev_inputs=first.dev.inputs, dev_labels=first.dev.labels
    )
    network = student.result.student
    precision, precisions = compare_precisions(
        network, trace(network, probes[0]), facts, compared, folder / "student", wish=wish
    )
    keep_source(folder / "student", network, probes)
    title = f"{network.num_parameters:,} parameters, {precision}"
    model = load(folder / "student" / precision)
    shipped = [
        Shipped(name="student", title=title, folder=folder / "student" / precision, model=model, network=network),
        ship("control", title, field.trained["control"].result.student, folder / "control", precision, probes),
    ]
    if "baseline" in field.trained:
        item = field.trained["baseline"]
        shipped.append(ship("baseline", item.title, item.result.student, folder / "baseline", "int8_weights", probes))
    if isinstance(last.teacher, TrainedTeacher):
        shipped = [*_measurable(last.teacher, teacher_title, folder / "teacher", probes, progress), *shipped]
    progress.stage("evaluation")
    contenders = _contenders(field, first, last, shipped, teacher_title)
    assessment = assess(
        contenders, first.scope_dev.labels, last.test.labels, last.schema, seed=seed, steps=_steps(field)
    )
    return Judgement(assessment=assessment, precisions=precisions, precision=precision)


def _measurable(
    teacher: TrainedTeacher, title: str, folder: Path, probes: list[Input], progress: Progress
) -> list[Shipped]:
    """The teacher as a bundle, measured as the student is; code of the user's may be such that no exporter takes it."""
    try:
        return [ship("teacher", title, teacher.student, folder, "fp32", probes)]
    except Exception as error:  # exporters raise what they like
        if not teacher.source:
            raise
        progress.say(f"the teacher can't be exported, so its size and speed are not measured: {str(error)[:200]}")
        return []


def _contenders(
    field: Field, first: Teaching, last: Teaching, shipped: list[Shipped], teacher_title: str
) -> list[Contender]:
    latency = measure(shipped, last.test.inputs)
    found = {item.name: as_contender(item, latency[item.name], last.test.inputs) for item in shipped}
    measured = found.get("teacher") or Contender(
        name="teacher",
        title=teacher_title,
        dev_logits=first.dev_logits,
        test_logits=last.test_logits,
        num_parameters=last.teacher.num_parameters,
    )
    # Kept answers taught the student, so they are what is judged; the bundle gives size and speed.
    teacher = replace(measured, dev_logits=first.dev_logits, test_logits=last.test_logits)
    listed = [teacher]
    for name, item in field.trained.items():
        contender = found.get(name) or from_trial(item, last.test.inputs)
        listed.append(_with_training(contender, item, field))
    return listed


def _with_training(contender: Contender, item: Trained, field: Field) -> Contender:
    """Logits on dev and curve are those of the round in which dev chose."""
    chosen = next((r for r in field.trials.get(item.name, ()) if r.trial == item.result.trial), item.result)
    return replace(contender, dev_logits=item.dev_logits, curve=tuple(chosen.state.curve), notes=notes_of(item))


def notes_of(item: Trained) -> dict[str, str]:
    """The settings of a contender, as text."""
    notes = {name: str(value) for name, value in item.result.trial.config().items()}
    if item.result.gradient_ratio is not None:
        notes["gradient_ratio"] = f"{item.result.gradient_ratio:.3g}"
    return notes


def _steps(field: Field) -> list[tuple[str, str, str]]:
    """Control -> student on hard labels -> student on soft labels, where both were trained."""
    signal = field.trained["student"].result.trial.signal
    if signal == "soft" and "hard_labels" in field.trained:
        return [("hard_over_control", "control", "hard_labels"), ("soft_over_hard", "hard_labels", "student")]
    if signal == "hard" and "soft_labels" in field.trained:
        return [("hard_over_control", "control", "student"), ("soft_over_hard", "student", "soft_labels")]
    return []
