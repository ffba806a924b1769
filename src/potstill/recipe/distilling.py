"""`potstill.distill`: the whole job in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from potstill.data import DataOptions
from potstill.recipe.recipe import Recipe
from potstill.recipe.run import Run, run
from potstill.students import StudentBuilder
from potstill.teachers import Encoder, Ready, TeacherSpec
from potstill.training.settings import Training
from potstill.types import Progress, Teacher


def distill(
    train: Any,
    *,
    test: Any = None,
    unlabelled: Any = None,
    text: str = "",
    label: str | Sequence[str] = (),
    teacher: TeacherSpec | Teacher | None = None,
    student: StudentBuilder | None = None,
    training: Training | None = None,
    out: Path | str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Run:
    """Distils a student, and returns the run: `.student`, `.report`, `.bundle`, `.result`.

    Args:
        train: labelled rows: a path (CSV, TSV, JSONL, Parquet), a `datasets.Dataset`, a dict of columns or a list of
            dicts.
        test: rows that judge; without it some of `train` are held out.
        unlabelled: more rows, that the teacher answers.
        text: column of the input; guessed when left out.
        label: column of the label, or several; guessed when left out.
        teacher: how to make one (`potstill.teachers`), or an object that answers; None takes the sentence encoder.
        student: a builder (`potstill.students`); None takes the default of the data.
        training: options of training.
        out: folder of the run; None takes `runs/` and the hash of the recipe.
        progress: where long work says how far it is.
        options: further options of `Recipe` or, for rows and columns, of `DataOptions`.

    Raises:
        PotstillError: see `potstill.errors`.
    """
    given = {"train": train, "test": test, "unlabelled": unlabelled}
    paths: dict[str, Any] = {name: str(value) for name, value in given.items() if isinstance(value, str | Path)}
    tables = {name: value for name, value in given.items() if value is not None and name not in paths}
    data_names = set(DataOptions.__dataclass_fields__)
    data_options = {name: value for name, value in options.items() if name in data_names}
    recipe_options = {name: value for name, value in options.items() if name not in data_names}
    columns = (label,) if isinstance(label, str) and label else tuple(label)
    recipe = Recipe(
        data=DataOptions(text=text, label=columns, **paths, **data_options),
        teacher=_spec(teacher),
        student=student,
        **recipe_options,
    )
    if training is not None:
        recipe = replace(recipe, training=training)
    folder = Path(out) if out is not None else Path("runs") / recipe.digest()[:12]
    return run(recipe, folder, tables=tables, progress=progress)


def _spec(teacher: TeacherSpec | Teacher | None) -> TeacherSpec:
    if teacher is None:
        return Encoder()
    if hasattr(teacher, "prepare"):
        return cast(TeacherSpec, teacher)
    return Ready(teacher=teacher)
