"""The student as it was at the last evaluations of its training, each as a bundle of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from potstill.exporters.bundle import NUM_CALIBRATION, make_bundle, trace
from potstill.exporters.precisions import Precision
from potstill.recipe.contest import TrialResult
from potstill.recipe.field import Field
from potstill.recipe.shipping import calibrated
from potstill.recipe.teaching import Teaching
from potstill.students.summing import inner_network
from potstill.training.snapshots import forget_snapshots, list_snapshots, load_snapshot
from potstill.types import Input, Progress

FOLDER = "checkpoints"
STUDENT = "student."


def bundle_checkpoints(
    field: Field,
    first: Teaching,
    last: Teaching,
    folder: Path,
    *,
    precision: Precision,
    licenses: Mapping[str, str],
    progress: Progress,
) -> dict[int, str]:
    """Bundles of the kept evaluations, calibrated on dev by what each says there.

    Args:
        field: everybody, as they ship.
        first: the round whose dev rows calibrate.
        last: the round that taught.
        folder: gets one bundle a checkpoint.
        precision: of the student.
        licenses: for the manifests.
        progress: where it says how far it is.

    Returns:
        Step -> folder of the bundle; the best step, whose bundle is the student's own, is not among them.
    """
    found = {}
    item = field.trained["student"]
    probes: list[Input] = [*first.dev.inputs, *last.student.inputs][:NUM_CALIBRATION]
    for step, path in list_snapshots(item.result.folder).items():
        if step == shipped_step(item.result):
            continue
        progress.stage(f"checkpoint {step}")
        student = replace(item.result.student, module=copy.deepcopy(item.result.student.module))
        weights = load_snapshot(path)
        inner_network(student.module).load_state_dict(
            {name.removeprefix(STUDENT): weight for name, weight in weights.items() if name.startswith(STUDENT)}
        )
        facts = calibrated(
            student.logits(first.scope_dev.inputs), first.scope_dev.labels, student.schema, dict(licenses)
        )
        target = folder / f"step-{step:08d}"
        make_bundle(target, student, trace(student, probes[0]), precision, facts, probes)
        found[step] = str(target)
    return found


def shipped_step(result: TrialResult) -> int:
    """The step whose weights ship: the best on dev, or the last one where there is no dev."""
    return result.state.best_step or result.state.step


def forget_weights(field: Field) -> None:
    """Once the bundles are there the weights they were made from are of no use."""
    for result in [field.trained["student"].result, *field.trials["student"]]:
        forget_snapshots(result.folder)
