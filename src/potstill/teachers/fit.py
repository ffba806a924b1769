"""What teachers that are trained here have in common: labelled rows in, a trained network out.

The folder that a teacher works in is shared by all runs that use the same store, so what lies there is named by the
hash of all that goes into it: the next service on the same labelled rows finds its teacher trained.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from potstill.data.views import Views, may_flip
from potstill.files import canonical_json, digest, locked, write_atomic
from potstill.losses import CrossEntropy
from potstill.students.base import Student, StudentContext, as_tensors
from potstill.teachers.base import TeacherContext
from potstill.teachers.trained import weights_digest
from potstill.training.batches import steps_per_epoch
from potstill.training.device import Numerics, probe_network, probe_precision
from potstill.training.loop import Plan, train
from potstill.training.task import DistillationTask, Term, TransferSet, ViewedInputs, encode_rows
from potstill.types import Input


def fit(
    student: Student, plan: Plan, context: TeacherContext, *, augmentation: float = 0.0, views: Views | None = None
) -> None:
    """Trains a teacher in place on the true labels, keeping the best weights on dev, or loads what was trained so."""
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
    settings = {
        "plan": plan.fingerprint(),
        "augmentation": augmentation,
        "views": views.to_json() if views else None,
    }
    with working_folder(student, settings, context) as folder:
        context.progress.stage("teacher", plan.num_steps)
        train(task, plan, folder=folder, progress=context.progress, device=context.device)


def fit_views(
    student: Student,
    context: TeacherContext,
    numerics: Numerics,
    *,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    flip: str,
    num_threads: int,
) -> None:
    """`fit` for pictures and sounds: with Nesterov momentum, and another view of every row in every epoch."""
    per_epoch = steps_per_epoch(len(context.labelled), batch_size)
    plan = Plan(
        num_steps=num_steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimizer="sgd",
        weight_decay=5e-4,
        evaluate_every=per_epoch,
        precision=numerics.precision,
        channels_last=numerics.channels_last,
        seed=context.seed,
        num_threads=num_threads or usual_threads(),
    )
    views = Views(
        # One more than there are epochs, so that no view comes twice.
        num_views=1 + num_steps // per_epoch,
        flip=may_flip(flip, context.labelled.inputs[0]),
        sample_rate=context.sample_rate,
        seed=context.seed,
    )
    fit(student, plan, context, views=views)


def student_context(context: TeacherContext) -> StudentContext:
    """What a builder needs to build a teacher: the labelled rows are what it will see."""
    return StudentContext(
        schema=context.schema,
        transfer_inputs=context.labelled.inputs,
        encoder=None,
        seed=context.seed,
        sample_rate=context.sample_rate,
    )


@contextmanager
def working_folder(student: Student, settings: dict[str, Any], context: TeacherContext) -> Iterator[Path]:
    """The folder of one fit, named by the hash of all that the weights will depend on.

    One process works in it; another run that needs the same teacher waits for it. The lock dies with its holder.
    """
    folder = context.folder / _fit_key(student, settings, context)[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with locked(
        folder / ".lock", waiting=lambda: context.progress.say("another run trains this very teacher; waiting for it")
    ):
        yield folder


def _fit_key(student: Student, settings: dict[str, Any], context: TeacherContext) -> str:
    rows = [
        [[d.hex() for d in part.digests()], digest(part.labels.tobytes())] for part in (context.labelled, context.dev)
    ]
    return digest(
        {
            "start": weights_digest(student.module),
            "preprocessing": digest(student.preprocessor.to_json()),
            "settings": settings,
            "rows": rows,
            "schema": context.schema.to_json(),
            "device": context.device,
        }
    )


def settled_precision(folder: Path, wish: str, device: str) -> str:
    """The precision of trainings on this machine, timed once: a second run must come to the same teacher."""
    if wish != "auto":
        return wish
    return str(_settled(folder, {"device": device}, lambda: {"precision": probe_precision(device)})["precision"])


def settled_numerics(folder: Path, wish: str, student: Student, inputs: Sequence[Input], device: str) -> Numerics:
    """How a network computes, decided once: pictures and sounds are timed with the network itself."""
    batch = as_tensors(student.preprocessor.batch(student.preprocessor.encode(list(inputs[:64]))))
    if any(tensor.ndim != 4 for tensor in batch.values()):
        return Numerics(precision=settled_precision(folder, wish, device))

    def probe() -> dict[str, Any]:
        torch.set_num_threads(1)
        found = probe_network(student.module, batch, device, wish=wish)
        return {"precision": found.precision, "channels_last": found.channels_last}

    shapes = {name: list(tensor.shape) for name, tensor in student.module.state_dict().items()}
    return Numerics(**_settled(folder, {"device": device, "wish": wish, "shapes": shapes}, probe))


def _settled(folder: Path, question: dict[str, Any], probe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a probe found the first time; timings differ from run to run, and a result must not."""
    machine = [platform.processor() or platform.machine(), torch.__version__]
    path = folder / f"numerics-{digest([question, machine])[:16]}.json"
    if not path.exists():
        write_atomic(path, canonical_json(probe()))
    return dict(json.loads(path.read_text("utf-8")))


def usual_threads() -> int:
    """Threads for a large network: what OMP_NUM_THREADS says, else the cores of this process, four at most."""
    wish = os.environ.get("OMP_NUM_THREADS", "")
    if wish.isdecimal() and int(wish) > 0:
        return int(wish)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, 4)
