"""What teachers that are trained here have in common: labelled rows in, a trained network out."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from potstill.data.views import Views
from potstill.files import canonical_json, write_atomic
from potstill.losses import CrossEntropy
from potstill.students.base import Student, as_tensors
from potstill.teachers.base import TeacherContext
from potstill.training.device import Numerics, probe_network, probe_precision
from potstill.training.loop import Plan, train
from potstill.training.task import DistillationTask, Term, TransferSet, ViewedInputs, encode_rows
from potstill.types import Input


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


def settled_numerics(folder: Path, wish: str, student: Student, inputs: Sequence[Input], device: str) -> Numerics:
    """How a network computes, decided once: pictures and sounds are timed with the network itself."""
    batch = as_tensors(student.preprocessor.batch(student.preprocessor.encode(list(inputs[:64]))))
    if any(tensor.ndim != 4 for tensor in batch.values()):
        return Numerics(precision=settled_precision(folder, wish, device))
    path = folder / "numerics.json"
    if path.exists():
        return Numerics(**json.loads(path.read_text("utf-8")))
    torch.set_num_threads(1)
    found = probe_network(student.module, batch, device, wish=wish)
    write_atomic(path, canonical_json({"precision": found.precision, "channels_last": found.channels_last}))
    return found


def usual_threads() -> int:
    """Threads for a large network: what OMP_NUM_THREADS says, else the cores of this process, four at most."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 4)
