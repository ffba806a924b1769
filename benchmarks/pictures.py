"""Whole runs of `distill` on pictures (`cifar10-jpeg`); see README.md."""

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from pyarrow import parquet

from benchmarks import resnet56
from benchmarks.record import record
from benchmarks.tables import DATA
from benchmarks.text import one
from potstill import DataOptions, Recipe
from potstill.data import load_data
from potstill.recipe.shipping import measure, ship
from potstill.students import ResNet, StudentContext
from potstill.teachers import Module, TeacherContext
from potstill.training import Training
from potstill.types import Silent

COLUMNS = {"image": "image", "label": ("label",)}
FOUR = ("automobile", "cat", "dog", "ship")
THIN = ResNet(depth=8, width=8)


def read(part):
    table = parquet.read_table(DATA / "cifar10-jpeg" / f"cifar10_{part}.parquet").to_pydict()
    pictures = [cell["bytes"] if isinstance(cell, dict) else cell for cell in table["image"]]
    return list(zip(pictures, table["label"], strict=True))


def columns(rows):
    return {"image": [picture for picture, _ in rows], "label": [label for _, label in rows]}


def rows(num_unlabelled, per_class, seed):
    """`per_class` labelled pictures of each class, and others without labels."""
    order = np.random.default_rng(seed).permutation(50_000)
    train, taken, labelled, rest = read("train"), Counter(), [], []
    for i in order:
        picture, label = train[i]
        taken[label] += 1
        if taken[label] <= per_class:
            labelled.append((picture, label))
        elif len(rest) < num_unlabelled:
            rest.append(picture)
    found = {"train": columns(labelled), "test": columns(read("test"))}
    return found | ({"unlabelled": {"image": rest}} if rest else {})


def teacher(factory="adapted", **changes):
    file = str(Path(resnet56.__file__))
    return Module(file=file, factory=factory, classes=resnet56.CLASSES, num_threads=1, **changes)


def teacher_context(data, folder):
    return TeacherContext(
        schema=data.full_schema,
        labelled=data.train,
        dev=data.dev,
        unlabelled=data.unlabelled,
        test=data.test,
        folder=folder,
        seed=0,
        device="cpu",
        progress=Silent(),
    )


def adapt(args):
    """One pass over 16,000 crops of training pictures, as the prototype's teacher had it."""
    data = load_data(
        DataOptions(**COLUMNS), tables={"train": columns(read("train")[:17_800]), "test": columns(read("test"))}
    )
    context = teacher_context(data, resnet56.ADAPTED.parent / "adapting")
    resnet56.ADAPTED.parent.mkdir(parents=True, exist_ok=True)
    for name, epochs in (("published", 0), ("adapted", 1)):
        found = teacher("published", num_epochs=epochs).prepare(context)
        logits = np.concatenate([found.student.logits(data.test.inputs[i : i + 500]) for i in range(0, 10_000, 500)])
        print(name, float((logits.argmax(1) == data.test.labels[:, 0]).mean()), flush=True)
    torch.save(found.student.module.module.state_dict(), resnet56.ADAPTED)


def brief(name, args, num_unlabelled, per_class):
    """The same few steps for student and control; three epochs of 20,500 pictures are 961 steps of 64."""
    training = Training(num_epochs=3, num_trials=args.trials)
    runs = []
    for draw in args.draws:
        recipe = Recipe(data=DataOptions(**COLUMNS), teacher=teacher(), student=THIN, training=training, seed=draw)
        runs.append({"draw": draw, **one(recipe, rows(num_unlabelled, per_class, draw), name)})
        record(name, runs)


def few(args):
    """50 labels a class and 20,000 pictures without."""
    brief("pictures_few", args, 20_000, 50)


def short(args):
    """2,000 labels a class."""
    brief("pictures_short", args, 0, 2000)


def long(args):
    """All labels, trained out: 75,000 parameters."""
    training = Training(num_epochs=args.epochs, num_trials=1)
    recipe = Recipe(
        data=DataOptions(**COLUMNS), teacher=teacher(), student=ResNet(depth=8, width=args.width), training=training
    )
    name = f"pictures_long_{args.width}"
    record(name, [one(recipe, rows(0, 5000, 0), name)])


def subset(args):
    """Four of ten classes, and everything else as one."""
    training = Training(num_epochs=args.epochs, num_trials=1)
    runs = []
    for draw in args.draws:
        recipe = Recipe(
            data=DataOptions(**COLUMNS, classes=FOUR, other=True),
            teacher=teacher(),
            student=ResNet(depth=8, width=16),
            training=training,
            seed=draw,
        )
        runs.append({"draw": draw, **one(recipe, rows(0, 2000, draw), "pictures_subset")})
        record("pictures_subset", runs)


def latency(args):
    """The thin student beside the teacher in fp32, in turns: what takes how long doesn't depend on training."""
    data = load_data(
        DataOptions(**COLUMNS), tables={"train": columns(read("train")[:500]), "test": columns(read("test")[:100])}
    )
    inputs, runs = list(data.test.inputs), []
    sizes = StudentContext(schema=data.schema, transfer_inputs=data.train.inputs, encoder=None, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        big = teacher("published", num_epochs=0).prepare(teacher_context(data, root / "teachers")).student
        small = THIN.build(sizes, dropout=0.0)
        shipped = [
            ship("teacher", "", big, root / "teacher", "fp32", inputs[:5]),
            ship("student", "", small, root / "student", "int8_weights", inputs[:5]),
        ]
        for _ in range(args.repeats):
            found = measure(shipped, inputs)
            ms = {name: {"p50": each.p50, "model_p50": each.model_p50} for name, each in found.items()}
            ratio = {key: round(ms["teacher"][key] / ms["student"][key], 1) for key in ("p50", "model_p50")}
            runs.append({**ms, "times_faster": ratio, "load": os.getloadavg()[0]})
            print(runs[-1], flush=True)
    record("pictures_latency", runs)


COMMANDS = {"adapt": adapt, "few": few, "short": short, "long": long, "subset": subset, "latency": latency}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(COMMANDS))
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    COMMANDS[given.name](given)
