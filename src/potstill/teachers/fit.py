"""What teachers that are trained here have in common: labelled rows in, a trained network out."""

from __future__ import annotations

import json
import os
from pathlib import Path

from potstill.data.views import Views
from potstill.files import canonical_json, write_atomic
from potstill.losses import CrossEntropy
from potstill.students.base import Student
from potstill.teachers.base import TeacherContext
from potstill.training.device import probe_precision
from potstill.training.loop import Plan, train
from potstill.training.task import DistillationTask, Term, TransferSet, ViewedInputs, encode_rows


def fit(
    student: Student, plan: Plan, context: TeacherContext, *, augmentation: float = 0.0, views: Views | None = None
) -> None:
    """Trains a teacher in place on the true labels, keeping the best weights on dev."""
    encoded, lengths = encode_rows(student, context.labelled.inputs)
    dev_encoded, _ = encode_rows(student, context.dev.inputs)
    viewed = ViewedInputs(views=views, inputs=context.labelled.inputs) if views else None
    task = DistillationTask(
        student,
        TransferSet(encoded=encoded, lengths=lengths, labels=context.labelled.labels, views=viewed),
        dev_encoded=dev_encoded,
        dev_labels=context.dev.labels,
        terms=[Term("cross_entropy", 1.0, CrossEntropy())],
        augmentation=augmentation,
        batch_size=plan.batch_size,
        seed=context.seed,
    )
    context.progress.stage("teacher", plan.num_steps)
    train(task, plan, folder=context.folder / "checkpoints", progress=context.progress, device=context.device)


def settled_precision(folder: Path, wish: str, device: str) -> str:
    """The precision of a training, decided once: a resumed one must not change its mind."""
    path = folder / "precision.json"
    if path.exists():
        return str(json.loads(path.read_text("utf-8"))["precision"])
    precision = probe_precision(device) if wish == "auto" else wish
    write_atomic(path, canonical_json({"precision": precision}))
    return precision


def usual_threads() -> int:
    """Threads for a large network: what OMP_NUM_THREADS says, else the cores of this process, four at most."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 4)
