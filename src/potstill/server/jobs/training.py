"""The training of a job: rows on disk, a recipe, a run, and what the server is told at the end."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from potstill.data import DataOptions
from potstill.errors import DataError, PreemptedError
from potstill.files import canonical_json, write_atomic
from potstill.recipe import Controls, Recipe, Run, run
from potstill.recipe.extensions import kind_of
from potstill.recipe.trials import defaults, way_of
from potstill.server.compiling import Compiled, Row, Task
from potstill.server.jobs.bases import BASES
from potstill.server.jobs.curve import Curve, results_csv
from potstill.server.jobs.request import JobRequest, hyperparameters
from potstill.server.jobs.telling import NUM_CHECKPOINTS, SKIPPED_IMAGES, Say, checkpoints_of, event
from potstill.server.training_files.pictures import Reader, read_image
from potstill.students import KINDS as STUDENTS
from potstill.students import StudentBuilder
from potstill.teachers import Recorded
from potstill.training.settings import Training

CHECKPOINT_EVERY_S = 5.0
INPUT, TEACHER = "@input", "@teacher"


def train(
    request: JobRequest, compiled: Compiled, held_rows: Sequence[Row], folder: Path, say: Say, read: Reader
) -> None:
    """Trains the student of a job, or goes on where it was interrupted.

    Raises:
        PotstillError: it can't be trained.
        PreemptedError: it was asked to stop.
    """
    write_rows(folder / "train.jsonl", compiled.rows, compiled.task, read)
    write_rows(folder / "test.jsonl", held_rows, compiled.task, read)
    recipe = make_recipe(request, compiled, folder, has_test=bool(held_rows))
    usual = "resnet" if compiled.task.prompt.modality == "image" else "cnn"
    student = recipe.student.kind if recipe.student else f"{usual}, chosen by the data"
    event(say, "student", f"Student: {student}")
    curve = Curve(folder / "run", say)
    done = run(recipe, folder / "run", progress=Watched(curve), device="cpu", store=folder / "store")
    curve.finish()
    skipped = folder / SKIPPED_IMAGES
    told = skipped.read_text("utf-8") if skipped.is_file() else None
    _finish(say, compiled, recipe, curve, done, told)


def write_rows(path: Path, rows: Sequence[Row], task: Task, read: Reader = read_image) -> None:
    """Rows as potstill reads them, each input once; of answers that contradict each other the first one stays.

    Columns: the input, a label for each field, and the teacher's recorded answer: the label, or the probabilities of
    the labels where they are known.
    """
    lines, seen = [], set()
    for row in rows:
        value = row.input
        if task.prompt.modality == "image":
            image = read(value)
            if image.reason:
                continue
            name = f"images/{path.stem}-{row.line}"
            write_atomic(path.parent / name, image.content)
            key, value = image.content, name
        else:
            key = value
        if key in seen:
            continue
        seen.add(key)
        known = {**row.labels, **row.soft}
        said = known if len(known) > 1 else next(iter(known.values()))
        lines.append(canonical_json({INPUT: value, **row.labels, TEACHER: said}))
    write_atomic(path, b"\n".join(lines) + b"\n")


def make_recipe(request: JobRequest, compiled: Compiled, folder: Path, *, has_test: bool) -> Recipe:
    """The recipe of a job: the file's answers are both the labels and what the teacher said.

    Raises:
        DataError: the base that was named doesn't read such inputs.
    """
    modality = compiled.task.prompt.modality
    wanted = hyperparameters(request)
    kind = BASES[request.model]
    builder: StudentBuilder | None = next((made() for made in STUDENTS if kind_of(made) == kind), None)
    if builder is not None and (kind in ("resnet", "ds_cnn")) is not (modality == "image"):
        raise DataError(f"{request.model} doesn't read inputs of this kind, which are {modality}s. Use potstill-auto.")
    training = Training(num_trials=1, checkpoint_every_s=CHECKPOINT_EVERY_S, num_checkpoints=NUM_CHECKPOINTS)
    if wanted["n_epochs"] != "auto":
        training = replace(training, num_epochs=wanted["n_epochs"])
    if wanted["batch_size"] != "auto":
        training = replace(training, batch_size=max(2, wanted["batch_size"]))
    if wanted["learning_rate_multiplier"] != "auto":
        way = way_of(kind or ("resnet" if modality == "image" else "cnn"))
        base = defaults(training, num_labelled=1, num_unlabelled=0, way=way, is_text=modality == "text")
        training = replace(training, learning_rate=base.learning_rate * wanted["learning_rate_multiplier"])
    return Recipe(
        data=DataOptions(
            train=str(folder / "train.jsonl"),
            test=str(folder / "test.jsonl") if has_test else "",
            label=tuple(field.name for field in compiled.task.answer.fields),
            text=INPUT if modality == "text" else "",
            image=INPUT if modality == "image" else "",
        ),
        teacher=Recorded(label_column=TEACHER),
        student=builder,
        training=training,
        controls=Controls(baseline=False),
        seed=request.seed or 0,
    )


def _finish(say: Say, compiled: Compiled, recipe: Recipe, curve: Curve, done: Run, skipped: str | None) -> None:
    epochs, result = recipe.training.num_epochs, dict(done.result)
    shipped = {"full_valid_mean_token_accuracy": result["student"]["accuracy"]}
    texts = [row.input for row in compiled.rows if isinstance(row.input, str)]
    passes = max(1, round(curve.num_steps * recipe.training.batch_size / max(1, len(compiled.rows))))
    say(
        {
            "kind": "done",
            "model_kind": "classifier",
            "task": compiled.task.to_json(),
            "checkpoints": checkpoints_of(result, done.folder, curve.at, shipped),
            "csv": results_csv(curve.points),
            "skipped": skipped,
            # Words of the inputs, as often as they were seen: a student has no tokens of its own that are billed.
            "trained_tokens": passes * sum(len(text.split()) for text in texts),
            "hyperparameters": {
                "n_epochs": epochs or passes,
                "batch_size": recipe.training.batch_size,
                "learning_rate_multiplier": 1.0,
            },
            "result": result,
        }
    )


class Watched:
    """Passes on what the run does, and stops it on SIGTERM."""

    def __init__(self, curve: Curve) -> None:
        self._curve = curve
        self._stop = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self._stop = True

    def stage(self, name: str, total: int | None = None) -> None:
        """Begins a stage."""
        self._curve.begin(name, total)
        self.advance(0)

    def advance(self, count: int = 1) -> None:
        """Counts, and reads new figures."""
        self._curve.look()
        if self._stop:
            raise PreemptedError("stopped on request")

    def say(self, message: str) -> None:
        """Drops the line; the report holds it."""
