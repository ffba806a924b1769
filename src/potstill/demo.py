"""The main job on scikit-learn's handwritten digits: real data, no download.

1,797 pictures of 8 x 8 pixels (Alpaydin & Kaynak 1998, UCI). 50 of them are labelled, 347 judge, the rest are the
unlabelled pool. The teacher stands in for a big model that somebody else trained: it has seen the labels of the pool,
and the student has not. The control that got all those labels itself stands beside it, so that nobody takes the
teacher for magic.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data import DataOptions, Rows
from potstill.errors import MissingExtraError
from potstill.recipe import Controls, Recipe, Reference, Run, run
from potstill.students import PixelCnn, StudentContext
from potstill.teachers import Ready, TeacherContext
from potstill.teachers.fit import fit
from potstill.teachers.trained import TrainedTeacher
from potstill.training.loop import Plan
from potstill.training.settings import Training
from potstill.types import FloatArray, LabelSchema, Progress, Silent

NUM_TEST = 347
NUM_LABELLED = 50
CLASSES = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True, kw_only=True)
class Digits:
    """The digits in three parts.

    Attributes:
        labelled: 5 of each digit.
        pool: pictures whose labels the student doesn't see.
        test: pictures that judge.
    """

    labelled: dict[str, list[Any]]
    pool: dict[str, list[Any]]
    test: dict[str, list[Any]]


def load_digits(seed: int) -> Digits:
    """Splits the digits; `seed` decides which are labelled, never which judge.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as load_pictures
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "demo") from error
    bunch = load_pictures()
    pictures: FloatArray = bunch.images.astype(np.uint8)
    digits = bunch.target
    order = np.random.default_rng(0).permutation(len(digits))
    test, rest = order[:NUM_TEST], order[NUM_TEST:]
    rest = np.random.default_rng(seed).permutation(rest)
    labelled = np.concatenate([rest[digits[rest] == d][: NUM_LABELLED // 10] for d in range(10)])
    pool = rest[~np.isin(rest, labelled)]

    def columns(rows: Any) -> dict[str, list[Any]]:
        return {"picture": list(pictures[rows]), "digit": [str(d) for d in digits[rows]]}

    return Digits(labelled=columns(labelled), pool=columns(pool), test=columns(test))


def demo(out: Path, *, seed: int = 0, language: str = "en", progress: Progress | None = None) -> Run:
    """Runs the main job on the digits into a folder."""
    progress = progress or Silent()
    digits = load_digits(seed)
    teacher = train_teacher(digits, out / "someone-elses-teacher", progress)
    recipe = Recipe(
        data=DataOptions(image="picture", label=("digit",), near_duplicate=1.0, dev_share=0.2),
        teacher=Ready(teacher=teacher),
        student=PixelCnn(),
        training=Training(num_trials=3, num_views=1),
        controls=Controls(baseline=False),
        seed=seed,
    )
    pool = _rows(digits.pool)
    return run(
        recipe,
        out,
        progress=progress,
        tables={
            "train": digits.labelled,
            "test": digits.test,
            "unlabelled": {"picture": digits.pool["picture"]},
        },
        reference=Reference(title="control, all labels", rows=pool),
        store=out / "store",
        device="cpu",
        language=language,
        command=f"potstill demo --seed {seed}",
    )


def train_teacher(digits: Digits, folder: Path, progress: Progress) -> TrainedTeacher:
    """A wide network trained on the labels of the pool: the big model that somebody else made."""
    rows = _rows(digits.pool)
    held = len(rows) // 10
    labelled, dev = rows.take(np.arange(held, len(rows))), rows.take(np.arange(held))
    schema = LabelSchema.from_json([{"name": "digit", "classes": CLASSES, "multi": False}])
    context = StudentContext(schema=schema, transfer_inputs=labelled.inputs, encoder=None, seed=0)
    network = PixelCnn(filters=32, hidden=256).build(context, dropout=0.3)
    plan = Plan(num_steps=400, batch_size=64, learning_rate=2e-3, evaluate_every=40, seed=0)
    setting = TeacherContext(
        schema=schema,
        labelled=labelled,
        dev=dev,
        unlabelled=rows.take(np.arange(0)),
        test=rows.take(np.arange(0)),
        folder=folder,
        seed=0,
        device="cpu",
        progress=progress,
    )
    fit(network, plan, setting, augmentation=1.0)
    return TrainedTeacher(student=network, precision="fp32", device="cpu")


def show_one(done: Run) -> str:
    """One test digit, drawn, with what the bundle says of it through the device's runtime."""
    picture = load_digits(0).test["picture"][0]
    shades = " .:-=+*#%@"
    drawn = "\n".join("".join(shades[min(int(v) * 9 // 16, 9)] * 2 for v in row) for row in picture)
    said = done.student.predict([picture])[0]
    best = sorted(said.probabilities.items(), key=lambda item: -item[1])[:3]
    likely = ", ".join(f"{name} {probability:.3f}" for name, probability in best)
    return f"{drawn}\nthe bundle, without torch, says: {likely}"


def _rows(columns: dict[str, list[Any]]) -> Rows:
    labels = np.array([[int(digit)] for digit in columns["digit"]], np.int32)
    return Rows(inputs=columns["picture"], labels=labels, line_numbers=np.arange(1, len(labels) + 1))
