"""Whole runs of `distill` on public text data sets; see README.md."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import tables
from benchmarks.record import record, summary
from potstill import DataOptions, Recipe
from potstill.recipe.run import run
from potstill.students import Cnn
from potstill.students import Encoder as EncoderStudent
from potstill.teachers import Ensemble, Scratch
from potstill.training import Training
from potstill.types import Silent

COLUMNS = {"text": "text", "label": ("label",)}


class Lines(Silent):
    """Says which stage began after how many CPU-seconds."""

    def stage(self, name, total=None):
        print(f"{time.process_time():8.1f} {name} {total or ''}", flush=True)


def one(recipe, rows, folder=None):
    """Runs a recipe in a folder of its own; the store too, so that nothing is answered beforehand."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(folder or scratch)
        done = run(recipe, root / "run", tables=rows, store=root / "store", progress=Lines())
    return summary(done.result, time.process_time() - started)


def banking_few(args):
    runs = []
    for draw in args.draws:
        recipe = Recipe(data=DataOptions(**COLUMNS), seed=draw)
        runs.append({"draw": draw, **one(recipe, tables.banking(args.labels, draw))})
        record(f"banking_few_{args.labels}", runs)


def banking_all(args):
    recipe = Recipe(data=DataOptions(**COLUMNS), num_seeds=args.seeds)
    runs = [{"student": "cnn", **one(recipe, tables.banking())}]
    record("banking_all", runs)


def banking_large(args):
    student = EncoderStudent(layers=(0, 3))
    recipe = Recipe(data=DataOptions(**COLUMNS), student=student, training=Training(num_epochs=8, num_trials=2))
    record("banking_all_encoder", [{"student": "encoder", **one(recipe, tables.banking())}])


def banking_subset(args):
    runs = []
    classes = sorted({label for _, label in tables.read_banking("train")})
    for draw in args.draws:
        kept = tuple(sorted(np.random.default_rng(draw).permutation(classes)[:15].tolist()))
        data = DataOptions(**COLUMNS, classes=kept, other=True)
        runs.append({"draw": draw, "classes": kept, **one(Recipe(data=data, seed=draw), tables.banking(10, draw))})
        record("banking_subset", runs)


def clinc(args):
    data = DataOptions(**COLUMNS, out_of_scope="oos", dev_share=0.15)
    record("clinc", [one(Recipe(data=data, training=Training(num_trials=2)), tables.clinc())])


def korean(args):
    characters = Scratch(width=128, filters=256, num_epochs=args.epochs)
    pieces = Scratch(unit="pieces", num_epochs=args.epochs)
    recipe = Recipe(
        data=DataOptions(**COLUMNS),
        teacher=Ensemble(members=(characters, pieces)),
        student=Cnn(width=128, narrow_filters=192, wide_filters=96),
        training=Training(num_trials=2, num_epochs=10, refit="yes"),
    )
    record("korean", [one(recipe, tables.korean())])


COMMANDS = {
    "banking-few": banking_few,
    "banking-all": banking_all,
    "banking-large": banking_large,
    "banking-subset": banking_subset,
    "clinc": clinc,
    "korean": korean,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(COMMANDS))
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    COMMANDS[given.name](given)
