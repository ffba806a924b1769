"""A whole run: recipe and rows in, a folder with student, report and bundle out.

Every stage is a function of its inputs and keeps what it made under a name that is the hash of them, so the same
command goes on where it was killed, and does nothing once it is done.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from potstill.data import Data, load_data
from potstill.errors import GateError, IntegrityError
from potstill.files import canonical_json, write_atomic
from potstill.recipe.checkpoints import FOLDER, bundle_checkpoints, forget_weights, shipped_step
from potstill.recipe.choice import choose_student
from potstill.recipe.contest import Ground
from potstill.recipe.environment import environment
from potstill.recipe.field import Reference, make_context, make_ground, refit_field, train_field
from potstill.recipe.judging import judge
from potstill.recipe.recipe import Gates, Recipe
from potstill.recipe.result import result_line
from potstill.recipe.run_folder import RECIPE, alone, claim
from potstill.recipe.seeds import train_pairs
from potstill.recipe.shipping import rebundle
from potstill.recipe.teaching import Teaching, teach
from potstill.recipe.telling import Told, make_content
from potstill.report import sentence, write_report
from potstill.runtime import Model, load
from potstill.signals import Store, default_root
from potstill.students.parent import Parent
from potstill.teachers.fit import settled_numerics
from potstill.training.device import choose_device
from potstill.types import Progress, Silent

RESULT, BUNDLE, REPORT = "result.json", "bundle", "report"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: everything it made.
        result: the result line.
    """

    folder: Path
    result: Mapping[str, Any]

    @property
    def bundle(self) -> Path:
        """Folder of the bundle."""
        return self.folder / BUNDLE

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / REPORT / "report.html"

    @property
    def student(self) -> Model:
        """The student, through the device's own runtime."""
        return load(self.bundle)


def run(
    recipe: Recipe,
    out: Path,
    *,
    progress: Progress | None = None,
    tables: Mapping[str, Any] | None = None,
    reference: Reference | None = None,
    store: Path | None = None,
    device: str = "auto",
    language: str = "en",
    command: str = "",
) -> Run:
    """Runs a recipe into a folder, or goes on with what is there.

    Args:
        recipe: what to do.
        out: folder of the run; it may hold an interrupted or finished run of the same recipe.
        progress: where long work says how far it is.
        tables: rows as Python objects in place of files, see `load_data`.
        reference: one more control, that gets the labels of more rows; the demonstration uses it to show what all
            labels would have given.
        store: folder of the teachers' answers; None takes the user's.
        device: `auto`, `cpu`, `cuda` or `mps`.
        language: of the report, `en` or `ko`.
        command: the shell command that runs this again, for the report.

    Raises:
        PotstillError: see `potstill.errors`; what was done is kept, and the same call goes on.
    """
    progress = progress or Silent()
    out.mkdir(parents=True, exist_ok=True)
    with alone(out):
        claim(out, recipe)
        carry = hasattr(recipe.teacher, "columns")
        progress.stage("data")
        data = load_data(recipe.data, tables=tables, seed=recipe.seed, carry_columns=carry)
        done = finished(out, recipe.digest(), data.digest)
        if done is None:
            for finding in data.findings:
                progress.say(sentence(finding, "en"))
            where = _Where(Store(store or default_root()), choose_device(device), progress)
            command = command or shlex.join(["potstill", "distill", str(out / RECIPE)])
            done = _work(recipe, out, data, where, reference, language, command)
        check_gates(recipe.gates, done)
        return Run(out, done)


def finished(out: Path, recipe_digest: str, data_digest: str) -> dict[str, Any] | None:
    """The result of a run that is done with this recipe on these rows; None where it isn't.

    Raises:
        IntegrityError: the result is there and can't be read.
    """
    path = out / RESULT
    if not path.exists():
        return None
    try:
        done = dict(json.loads(path.read_bytes()))
        same = done["recipe_digest"] == recipe_digest and done["data_digest"] == data_digest
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is not what was written. Remove it and run the same command again.") from error
    # The bundle is replaced as a whole just before the result is written; a half-deleted run is done again.
    return done if same and (out / BUNDLE / "manifest.json").exists() else None


def check_gates(gates: Gates, result: Mapping[str, Any]) -> None:
    """Raises GateError when the student missed what must hold."""
    missed = []
    accuracy = result["student"]["accuracy"]
    if gates.accuracy is not None and accuracy < gates.accuracy:
        missed.append(f"accuracy is {accuracy:.4f}, gates.accuracy asks {gates.accuracy}")
    share = accuracy / result["teacher"]["accuracy"] if result["teacher"]["accuracy"] else 0.0
    if gates.share_of_teacher is not None and share < gates.share_of_teacher:
        missed.append(f"the share of the teacher's accuracy is {share:.4f}, the gate asks {gates.share_of_teacher}")
    if gates.verdict == "gain" and result["verdict"] != "gain":
        missed.append(f"the verdict is {result['verdict']!r}, gates.verdict asks 'gain'")
    if missed:
        raise GateError(f"the student missed its gate: {'; '.join(missed)}. The report is {result['report']}")


def _work(
    recipe: Recipe, out: Path, data: Data, where: _Where, reference: Reference | None, language: str, command: str
) -> dict[str, Any]:
    """Teaches, trains, judges, reports and ships; the result is written last, its presence says that all is done."""
    progress = where.progress
    is_refit = recipe.wants_refit(num_labelled=len(data.train), num_unlabelled=len(data.unlabelled))
    options: dict[str, Any] = {"device": where.device, "progress": progress}
    first = teach(recipe, data, where.store, **options, is_last=not is_refit)
    context = make_context(recipe, first, recipe.seed)
    choice = choose_student(recipe, context)
    numerics = settled_numerics(
        out, recipe.training.precision, choice.builder.build(context, dropout=0.0), first.student.inputs, where.device
    )

    def ground(teaching: Teaching, seed: int) -> Ground:
        return make_ground(recipe, teaching, out, numerics=numerics, **options, seed=seed)

    field = train_field(recipe, first, ground(first, recipe.seed), choice.builder, reference)
    last = first
    if is_refit:
        last = teach(recipe, data, where.store, **options, is_last=True, with_dev=True)
        field = refit_field(field, last, ground(last, recipe.seed), seed=recipe.seed)
    title = _teacher_title(recipe, last)
    licenses = {"bundle": recipe.export.license} if recipe.export.license else {}
    found = judge(
        field,
        first,
        last,
        out / "contenders",
        teacher_title=title,
        wish=_wish(recipe, context.parent),
        licenses=licenses,
        seed=recipe.seed,
        progress=progress,
    )
    grounds = {recipe.seed + i: ground(last, recipe.seed + i) for i in range(1, recipe.num_seeds)}
    pairs = train_pairs(field, last, grounds, first_seed=recipe.seed, is_refit=is_refit)
    progress.stage("report")
    line = result_line(found.assessment)
    bundle_digest = rebundle(out / "contenders" / "student" / found.precision, out / BUNDLE, line)
    told = Told(recipe=recipe, data=data, first=first, last=last, field=field, choice=choice, pairs=pairs)
    content = make_content(told, found, out.name, command, environment(where.device, numerics.precision))
    digests = {**content.digests, "bundle": bundle_digest}
    write_report(out / REPORT, replace(content, digests=digests, licenses=licenses), language=language)
    checkpoints = bundle_checkpoints(
        field, first, last, out / FOLDER, precision=found.precision, licenses=licenses, progress=progress
    )
    result = {
        **line,
        "run_dir": str(out),
        "report": str(out / REPORT / "report.html"),
        "bundle": str(out / BUNDLE),
        "bundle_digest": bundle_digest,
        "precision": found.precision,
        "recipe_digest": recipe.digest(),
        "data_digest": data.digest,
        "seeds": pairs.to_json(),
        "refit": is_refit,
        "step": shipped_step(field.trained["student"].result),
        "checkpoints": {str(step): path for step, path in checkpoints.items()},
        "teacher_calls": told.spend.num_asked,
        "teacher_cost": told.spend.cost,
    }
    write_atomic(out / RESULT, canonical_json(result))
    forget_weights(field)
    return result


def _wish(recipe: Recipe, parent: Parent | None) -> Any:
    """A child ships in its parent's precision, else no byte of it would be like the parent's."""
    if parent is None or recipe.export.precision != "auto":
        return recipe.export.precision
    return parent.precision


@dataclass(frozen=True)
class _Where:
    store: Store
    device: str
    progress: Progress


def _teacher_title(recipe: Recipe, teaching: Teaching) -> str:
    number = teaching.teacher.num_parameters
    return f"{recipe.teacher.kind}, {number:,} parameters" if number else recipe.teacher.kind
