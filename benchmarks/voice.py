"""Whole runs of `distill` on spoken digits (`fsdd`), two of six speakers held out; see README.md."""

import argparse

from pyarrow import parquet

from benchmarks.record import record
from benchmarks.tables import DATA
from benchmarks.text import one
from potstill import DataOptions, Recipe
from potstill.students import DsCnn
from potstill.teachers import Network
from potstill.training import Training

PAIRS = (("theo", "lucas"), ("george", "yweweler"), ("jackson", "nicolas"))


def read():
    found = []
    for part in ("train", "test"):
        table = parquet.read_table(DATA / "fsdd" / f"fsdd_{part}.parquet").to_pydict()
        sounds = [cell["bytes"] if isinstance(cell, dict) else cell for cell in table["audio"]]
        found += list(zip(sounds, table["label"], table["speaker"], table["index"], strict=True))
    return found


def rows(pair):
    """Clips of four speakers to learn from, as the prototype had them; all clips of the other two to be judged by."""
    clips = read()
    parts = {
        "train": [clip for clip in clips if clip[2] not in pair and clip[3] >= 5],
        "test": [clip for clip in clips if clip[2] in pair],
    }
    return {
        name: {"audio": [c[0] for c in part], "label": [str(c[1]) for c in part], "speaker": [c[2] for c in part]}
        for name, part in parts.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    runs = []
    for pair in PAIRS:
        recipe = Recipe(
            data=DataOptions(audio="audio", label=("label",), group="speaker", sample_rate=8000),
            teacher=Network(num_threads=1),
            student=DsCnn(width=given.width),
            # The speaker that chose teaches, too: one voice of four is much.
            training=Training(num_epochs=given.epochs, num_trials=2, refit="yes"),
            num_seeds=given.seeds,
        )
        runs.append({"held_out": pair, **one(recipe, rows(pair), "voice")})
        record("voice", runs)


if __name__ == "__main__":
    main()
