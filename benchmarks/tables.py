"""Public data sets as tables of columns, with labels drawn by seed."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("POTSTILL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def read_banking(part):
    with (DATA / "banking77" / f"{part}.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def columns(rows):
    return {"text": [text for text, _ in rows], "label": [label for _, label in rows]}


def draw(rows, per_class, seed):
    """(labelled, the texts of the rest): `per_class` rows of each label, drawn by seed."""
    taken, labelled, rest = Counter(), [], []
    for i in np.random.default_rng(seed).permutation(len(rows)):
        text, label = rows[i]
        taken[label] += 1
        if taken[label] <= per_class:
            labelled.append((text, label))
        else:
            rest.append(text)
    return labelled, rest


def banking(per_class=None, seed=0):
    train, test = read_banking("train"), read_banking("test")
    if per_class is None:
        return {"train": columns(train), "test": columns(test)}
    labelled, rest = draw(train, per_class, seed)
    return {"train": columns(labelled), "test": columns(test), "unlabelled": {"text": rest}}


def clinc():
    parts = json.loads((DATA / "clinc150" / "data_full.json").read_text("utf-8"))
    names = {"train": ("train", "val", "oos_train", "oos_val"), "test": ("test", "oos_test")}
    return {name: columns([tuple(row) for part in listed for row in parts[part]]) for name, listed in names.items()}


INTENTS = ("fragment", "statement", "question", "command", "rhetorical question", "rhetorical command", "intonation")


def korean():
    def read(name):
        lines = (DATA / "3i4k" / name).read_text("utf-8").splitlines()
        return columns(
            [(text, INTENTS[int(label)]) for label, text in (line.split("\t", 1) for line in lines if "\t" in line)]
        )

    return {"train": read("fci_train_val.txt"), "test": read("fci_test.txt")}
