"""Whole runs of `distill` on public text data sets; see README.md."""

import argparse
import os
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
from potstill.teachers import Ensemble, Ngrams, Scratch
from potstill.training import Training
from potstill.types import Silent

COLUMNS = {"text": "text", "label": ("label",)}


class Lines(Silent):
    """Says which stage began after how many CPU-seconds."""

    def stage(self, name, total=None):
        print(f"{time.process_time():8.1f} {name} {total or ''}", flush=True)


def one(recipe, rows, name):
    """Runs a recipe in a folder of its own; the store too, so that nothing is answered beforehand.

    With POTSTILL_BENCHMARKS set to a folder, runs and store stay there: a benchmark that was cut off goes on, and two
    that share a teacher train it once. The CPU-seconds are then those of the last part, which `resumed` says.
    """
    started, clock = time.process_time(), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(os.environ.get("POTSTILL_BENCHMARKS", scratch))
        store = root / "store"
        resumed = store.exists()
        done = run(recipe, root / f"{name}-{recipe.digest()[:8]}", tables=rows, store=store, progress=Lines())
    found = summary(done.result, time.process_time() - started)
    # Wall time says something on idle cores alone, so the load of the machine stands beside it.
    return {**found, "wall_seconds": round(time.monotonic() - clock, 1), "load": os.getloadavg()[0], "resumed": resumed}


def banking_few(args, student=None, name="banking_few"):
    runs = []
    for draw in args.draws:
        recipe = Recipe(data=DataOptions(**COLUMNS), student=student, seed=draw)
        folder = f"{name.replace('_', '-')}-{args.labels}"
        runs.append({"draw": draw, **one(recipe, tables.banking(args.labels, draw), folder)})
        record(f"{name}_{args.labels}", runs)


def banking_few_large(args):
    """Its control is the strongest small one with few labels: layers of the encoder, tuned as the student is."""
    banking_few(args, EncoderStudent(layers=(0, 3)), "banking_few_encoder")


def banking_all(args):
    recipe = Recipe(data=DataOptions(**COLUMNS), num_seeds=args.seeds)
    runs = [{"student": "cnn", **one(recipe, tables.banking(), "banking-all")}]
    record("banking_all", runs)


def banking_large(args):
    student = EncoderStudent(layers=(0, 3))
    recipe = Recipe(data=DataOptions(**COLUMNS), student=student, training=Training(num_epochs=8, num_trials=2))
    record("banking_all_encoder", [{"student": "encoder", **one(recipe, tables.banking(), "banking-large")}])


def banking_subset(args):
    runs = []
    classes = sorted({label for _, label in tables.read_banking("train")})
    for draw in args.draws:
        kept = tuple(sorted(np.random.default_rng(draw).permutation(classes)[:15].tolist()))
        data = DataOptions(**COLUMNS, classes=kept, other=True)
        found = one(Recipe(data=data, seed=draw), tables.banking(10, draw), "banking-subset")
        runs.append({"draw": draw, "classes": kept, **found})
        record("banking_subset", runs)


CLINC = DataOptions(**COLUMNS, out_of_scope="oos", dev_share=0.15)


def clinc(args):
    record("clinc", [one(Recipe(data=CLINC, training=Training(num_trials=2)), tables.clinc(), "clinc")])


def clinc_large(args):
    student = EncoderStudent(layers=(0, 2, 4))
    recipe = Recipe(data=CLINC, student=student, training=Training(num_epochs=8, num_trials=1))
    record("clinc_encoder", [{"student": "encoder", **one(recipe, tables.clinc(), "clinc-large")}])


def korean(args):
    network = Scratch(
        unit="characters",
        vocabulary_size=2000,
        width=128,
        filters=192,
        num_epochs=args.epochs,
        learning_rate=2e-3,
    )
    recipe = Recipe(
        data=DataOptions(**COLUMNS),
        # The transfer set is all labelled here: folds keep the n-grams from repeating the labels they were fitted to.
        teacher=Ensemble(members=(network, Ngrams(num_folds=3))),
        student=Cnn(width=128, narrow_filters=192, wide_filters=96, vocabulary_size=2000),
        training=Training(num_trials=1, num_epochs=args.epochs),
    )
    record("korean", [one(recipe, tables.korean(), "korean")])


COMMANDS = {
    "banking-few": banking_few,
    "banking-few-large": banking_few_large,
    "banking-all": banking_all,
    "banking-large": banking_large,
    "banking-subset": banking_subset,
    "clinc": clinc,
    "clinc-large": clinc_large,
    "korean": korean,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(COMMANDS))
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6)
    given = parser.parse_args()
    COMMANDS[given.name](given)
