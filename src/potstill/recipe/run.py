"""A whole run: recipe and rows in, a folder with student, report and bundle out.

Every stage is a function of its inputs and keeps what it made under a name that is the hash of them, so the same
command goes on where it was killed, and does nothing once it is done.
"""

from __future__ import annotations

import fcntl
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data import Data, Rows, load_data
from potstill.errors import ConfigurationError, GateError, IntegrityError
from potstill.evaluation.assess import assess
from potstill.evaluation.assessment import Assessment, Contender
from potstill.exporters.bundle import trace
from potstill.files import canonical_json, digest, write_atomic
from potstill.recipe.choice import Choice, choose_student
from potstill.recipe.contest import Ground, Lesson, TrialResult, hold_contest, run_trial
from potstill.recipe.environment import environment
from potstill.recipe.precision import Trying, compare_precisions
from potstill.recipe.recipe import Gates, Recipe
from potstill.recipe.result import result_line
from potstill.recipe.shipping import Shipped, as_contender, calibrated, from_trial, measure, ship
from potstill.recipe.teaching import teach
from potstill.recipe.trials import control_trials, count_steps, defaults, rate_factor, student_trials
from potstill.report import PrecisionFact, ReportContent, SpendFact, sentence, write_report
from potstill.runtime import Model, load
from potstill.runtime.bundle import pack
from potstill.signals import Store, default_root
from potstill.students import Linear, StudentBuilder, StudentContext
from potstill.teachers import Encoder
from potstill.teachers.fit import settled_precision
from potstill.teachers.trained import TrainedTeacher
from potstill.training.device import choose_device
from potstill.types import Finding, Input, Progress, Silent

RESULT, RECIPE, BUNDLE, REPORT = "result.json", "recipe.json", "bundle", "report"
NUM_COMPARED = 2000


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
    reference: tuple[str, Rows] | None = None,
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
        reference: title and labelled rows of one more control that gets these labels besides; the demonstration uses
            it to show what all labels would have given.
        store: folder of the teachers' answers; None takes the user's.
        device: `auto`, `cpu`, `cuda` or `mps`.
        language: of the report, `en` or `ko`.
        command: the shell command that runs this again, for the report.

    Raises:
        PotstillError: see `potstill.errors`; what was done is kept, and the same call goes on.
    """
    progress = progress or Silent()
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        _claim(out, recipe)
        carry = hasattr(recipe.teacher, "columns")
        progress.stage("data")
        data = load_data(recipe.data, tables=tables, seed=recipe.seed, carry_columns=carry)
        done = _finished(out, recipe, data)
        if done is None:
            for finding in data.findings:
                progress.say(sentence(finding, "en"))
            work = _Work(recipe, out, data, Store(store or default_root()), choose_device(device), progress)
            done = work.finish(reference, language, command or shlex.join(["potstill", "distill", str(out / RECIPE)]))
        _check_gates(recipe.gates, done)
        return Run(out, done)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One process a run folder; the lock dies with it."""
    with (out / ".lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"another process works in {out}. Wait for it, or give another folder with --out."
            ) from None
        yield


def _claim(out: Path, recipe: Recipe) -> None:
    """Writes the recipe into a new folder; refuses the folder of another one."""
    path = out / RECIPE
    wanted = canonical_json(recipe.to_json())
    if path.exists() and path.read_bytes() != wanted:
        raise ConfigurationError(
            f"{out} holds the run of another recipe. Results of two recipes in one folder would be mixed up. Give "
            "another folder with --out, or remove that one."
        )
    write_atomic(path, wanted)


def _finished(out: Path, recipe: Recipe, data: Data) -> dict[str, Any] | None:
    path = out / RESULT
    if not path.exists():
        return None
    try:
        done = dict(json.loads(path.read_bytes()))
        same = done["recipe_digest"] == recipe.digest() and done["data_digest"] == data.digest
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} is not what was written. Remove it and run the same command again.") from error
    # The bundle is replaced as a whole just before the result is written; a half-deleted run is done again.
    return done if same and (out / BUNDLE / "manifest.json").exists() else None


def _check_gates(gates: Gates, result: Mapping[str, Any]) -> None:
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


class _Work:
    """One run under way: what its stages share."""

    def __init__(self, recipe: Recipe, out: Path, data: Data, store: Store, device: str, progress: Progress) -> None:
        self.recipe, self.out, self.data = recipe, out, data
        self.device, self.progress = device, progress
        self.teaching = teach(recipe, data, out, store, device=device, progress=progress)
        self.precision = settled_precision(out, recipe.training.precision, device)

    def finish(self, reference: tuple[str, Rows] | None, language: str, command: str) -> dict[str, Any]:
        """Trains, measures, reports and ships."""
        ground = self._ground(self.recipe.seed)
        choice = choose_student(self.recipe, ground.context)
        student, control, trials = self._contests(choice.builder, ground)
        shipped, facts = self._ship(student, control, trials)
        contenders, steps = self._contenders(shipped, trials, reference, choice.builder, ground)
        self.progress.stage("evaluation")
        assessment = assess(
            contenders,
            self.teaching.scope_dev.labels,
            self.teaching.test.labels,
            self.data.schema,
            seed=self.recipe.seed,
            steps=steps,
        )
        seeds = self._more_seeds(choice.builder, student, control)
        content = self._content(assessment, trials, facts, choice, command, seeds)
        return self._write(assessment, content, language, seeds)

    def _ground(self, seed: int) -> Ground:
        recipe, teaching = self.recipe, self.teaching
        encoder = recipe.teacher.pretrained() if isinstance(recipe.teacher, Encoder) else None
        context = StudentContext(
            schema=self.data.schema,
            transfer_inputs=teaching.student.inputs,
            encoder=encoder,
            folder=self.out / "tokenizers",
            seed=seed,
        )
        return Ground(
            run_folder=self.out,
            training=recipe.training,
            context=context,
            dev_inputs=teaching.dev.inputs,
            dev_labels=teaching.dev.labels,
            precision=self.precision,
            device=self.device,
            progress=self.progress,
        )

    def _lists(self, builder: StudentBuilder) -> tuple[list[Any], list[Any]]:
        training, teaching = self.recipe.training, self.teaching
        num_labelled = len(teaching.control.inputs)
        num_rows = len(teaching.student.inputs)
        base = defaults(
            training,
            num_labelled=num_labelled,
            num_unlabelled=num_rows - num_labelled,
            rate_factor=rate_factor(builder.kind),
        )
        num_steps = count_steps(training, base.num_epochs, num_rows)
        return student_trials(training, base, num_steps), control_trials(training, base, num_steps)

    def _contests(
        self, builder: StudentBuilder, ground: Ground
    ) -> tuple[TrialResult, TrialResult, dict[str, list[TrialResult]]]:
        """Student, control and baseline, each the best of its trials on dev."""
        for_student, for_control = self._lists(builder)
        teaching, seed = self.teaching, self.recipe.seed
        student, of_student = hold_contest("student", builder, for_student, teaching.student, ground, seed=seed)
        control, of_control = hold_contest("control", builder, for_control, teaching.control, ground, seed=seed)
        trials = {"student": of_student, "control": of_control}
        if self.recipe.controls.baseline and isinstance(teaching.control.inputs[0], str):
            linear = Linear()
            best, found = hold_contest("baseline", linear, self._lists(linear)[1], teaching.control, ground, seed=seed)
            trials["baseline"] = [best, *(r for r in found if r is not best)]
        if self.recipe.controls.label_smoothing:
            smooth = replace(for_control[0], name="smoothing", label_smoothing=0.1)
            trials["label_smoothing"] = [
                run_trial("label_smoothing", builder, smooth, teaching.control, ground, seed=seed)
            ]
        if self.recipe.controls.teacher_labels:
            hard = replace(for_student[0], name="hard labels alone", signal="hard", temperature=1.0)
            only = replace(ground, training=replace(ground.training, ce_weight=0.0))
            trials["teacher_labels"] = [run_trial("teacher_labels", builder, hard, teaching.student, only, seed=seed)]
        return student, control, trials

    def _ship(
        self, student: TrialResult, control: TrialResult, trials: Mapping[str, Sequence[TrialResult]]
    ) -> tuple[list[Shipped], list[PrecisionFact]]:
        """Bundles of teacher, student, control and baseline."""
        self.progress.stage("export")
        folder = self.out / "contenders"
        teaching = self.teaching
        probes = self._probes()
        fp32 = trace(student.student, probes[0])
        facts = calibrated(
            student.student.logits(teaching.scope_dev.inputs),
            teaching.scope_dev.labels,
            self.data.schema,
            self._licenses(),
        )
        compared = Trying(
            inputs=list(teaching.student.inputs[:NUM_COMPARED]),
            dev_inputs=teaching.dev.inputs,
            dev_labels=teaching.dev.labels,
        )
        precision, found = compare_precisions(
            student.student, fp32, facts, compared, folder / "student", wish=self.recipe.export.precision
        )
        shipped = []
        if isinstance(teaching.teacher, TrainedTeacher):
            shipped.append(
                ship("teacher", self._teacher_title(), teaching.teacher.student, folder / "teacher", "fp32", probes)
            )
        model = load(folder / "student" / precision)
        title = f"{student.student.num_parameters:,} parameters, {precision}"
        shipped.append(
            Shipped(
                name="student",
                title=title,
                folder=folder / "student" / precision,
                model=model,
                student=student.student,
                result=student,
            )
        )
        shipped.append(ship("control", title, control.student, folder / "control", precision, probes, result=control))
        if "baseline" in trials:
            best = trials["baseline"][0]
            shipped.append(
                ship(
                    "baseline",
                    "hashed n-grams, linear",
                    best.student,
                    folder / "baseline",
                    "int8_weights",
                    probes,
                    result=best,
                )
            )
        return shipped, found

    def _probes(self) -> list[Input]:
        """Real inputs for tracing and self-test: dev rows, else transfer rows."""
        return [*self.teaching.dev.inputs, *self.teaching.student.inputs][:32]

    def _contenders(
        self,
        shipped: Sequence[Shipped],
        trials: Mapping[str, Sequence[TrialResult]],
        reference: tuple[str, Rows] | None,
        builder: StudentBuilder,
        ground: Ground,
    ) -> tuple[list[Contender], list[tuple[str, str, str]]]:
        """All contenders with their answers, and the steps between them that the gain is made of."""
        teaching = self.teaching
        dev_inputs, test_inputs = teaching.scope_dev.inputs, teaching.test.inputs
        latency = measure(shipped, test_inputs)
        found = {s.name: as_contender(s, latency[s.name], dev_inputs, test_inputs) for s in shipped}
        if "teacher" in found:
            # Kept answers taught the student, so they are what is judged; the bundle gives size and speed.
            found["teacher"] = replace(
                found["teacher"], dev_logits=teaching.dev_logits, test_logits=teaching.test_logits
            )
        else:
            teacher = Contender(
                name="teacher",
                title=self._teacher_title(),
                dev_logits=teaching.dev_logits,
                test_logits=teaching.test_logits,
                num_parameters=teaching.teacher.num_parameters,
            )
            found = {"teacher": teacher, **found}
        winner = next(s.result for s in shipped if s.name == "student")
        assert winner is not None, "the student was trained"
        steps = []
        other = _best_of_other_signal(trials["student"], winner)
        if other is not None:
            name = f"{other.trial.signal}_labels"
            found[name] = from_trial(name, f"student on {other.trial.signal} labels", other, dev_inputs, test_inputs)
            hard, soft = (name, "student") if winner.trial.signal == "soft" else ("student", name)
            steps = [("hard_over_control", "control", hard), ("soft_over_hard", hard, soft)]
        for name in ("label_smoothing", "teacher_labels"):
            if name in trials:
                found[name] = from_trial(name, name.replace("_", " "), trials[name][0], dev_inputs, test_inputs)
        if reference is not None:
            found["reference"] = self._reference(reference, builder, ground)
        return list(found.values()), steps

    def _reference(self, reference: tuple[str, Rows], builder: StudentBuilder, ground: Ground) -> Contender:
        """The control again, with the labels of more rows."""
        title, rows = reference
        teaching = self.teaching
        inputs = [*teaching.control.inputs, *rows.inputs]
        lesson = Lesson(
            inputs=inputs,
            labels=np.concatenate([teaching.control.labels, rows.labels]),
            digest=digest([self.data.digest, [d.hex() for d in rows.digests()]]),
        )
        _, for_control = self._lists(builder)
        best, _ = hold_contest("reference", builder, for_control, lesson, ground, seed=self.recipe.seed)
        return from_trial("reference", title, best, teaching.scope_dev.inputs, teaching.test.inputs)

    def _more_seeds(
        self, builder: StudentBuilder, student: TrialResult, control: TrialResult
    ) -> list[dict[str, float]]:
        """Accuracy of student and control on test for every seed, with the settings that won at the first."""
        from potstill.evaluation.metrics import accuracy

        teaching = self.teaching
        inside = (teaching.test.labels >= 0).any(1)
        labels = teaching.test.labels[inside]
        inputs = teaching.test.take(np.flatnonzero(inside)).inputs
        found = []
        for extra in range(self.recipe.num_seeds):
            pair = {"student": student, "control": control}
            if extra:
                seed = self.recipe.seed + extra
                ground = self._ground(seed)
                lessons = {"student": teaching.student, "control": teaching.control}
                pair = {n: run_trial(n, builder, r.trial, lessons[n], ground, seed=seed) for n, r in pair.items()}
            reached = {name: accuracy(r.student.logits(inputs), labels, self.data.schema) for name, r in pair.items()}
            found.append({"seed": self.recipe.seed + extra, **reached})
        return found

    def _content(
        self,
        assessment: Assessment,
        trials: Mapping[str, Sequence[TrialResult]],
        precisions: Sequence[PrecisionFact],
        choice: Choice,
        command: str,
        seeds: Sequence[Mapping[str, float]],
    ) -> ReportContent:
        teaching, data = self.teaching, self.data
        inside = (teaching.test.labels >= 0).any(1)
        return ReportContent(
            title=self.out.name,
            assessment=assessment,
            test_inputs=teaching.test.take(np.flatnonzero(inside)).inputs,
            counts={
                "train": len(teaching.train),
                "unlabelled": len(data.unlabelled),
                "dev": len(teaching.dev),
                "test": assessment.num_test,
                "out_of_scope_test": int((~inside).sum()),
            },
            findings=data.findings,
            trials={name: [result.summary() for result in results] for name, results in trials.items()},
            precisions=precisions,
            spend=SpendFact(**teaching.capture.spend()),
            choice=choice.reasons,
            digests={
                "data": data.digest,
                "teacher": teaching.identity_digest,
                "recipe": self.recipe.digest(),
            },
            command=command,
            environment=environment(self.device, self.precision),
            caveats=self._caveats(seeds),
            licenses=self._licenses(),
        )

    def _caveats(self, seeds: Sequence[Mapping[str, float]]) -> list[Finding]:
        found = []
        if self.teaching.num_unknown_test:
            found.append(Finding("unknown_test", {"count": self.teaching.num_unknown_test}))
        if len(self.teaching.dev) < 50:
            found.append(Finding("small_dev", {"count": len(self.teaching.dev)}))
        if len(seeds) > 1:
            listed = ", ".join(f"{100 * s['student']:.1f} / {100 * s['control']:.1f} %" for s in seeds)
            found.append(Finding("seeds", {"count": len(seeds), "pairs": listed}))
        return found

    def _write(
        self, assessment: Assessment, content: ReportContent, language: str, seeds: list[dict[str, float]]
    ) -> dict[str, Any]:
        """The bundle, the report, and last of all the result: its presence says that the run is done."""
        self.progress.stage("report")
        line = result_line(assessment)
        chosen = next(fact.precision for fact in content.precisions if fact.chosen)
        bundle_digest = self._make_bundle(chosen, line)
        write_report(
            self.out / REPORT,
            replace(content, digests={**content.digests, "bundle": bundle_digest}),
            language=language,
        )
        result = {
            **line,
            "run_dir": str(self.out),
            "report": str(self.out / REPORT / "report.html"),
            "bundle": str(self.out / BUNDLE),
            "bundle_digest": bundle_digest,
            "precision": chosen,
            "recipe_digest": self.recipe.digest(),
            "data_digest": self.data.digest,
            "seeds": seeds,
            "teacher_calls": self.teaching.capture.num_asked,
            "teacher_cost": self.teaching.capture.cost,
        }
        write_atomic(self.out / RESULT, canonical_json(result))
        return result

    def _make_bundle(self, precision: str, line: dict[str, Any]) -> str:
        """The chosen precision again, now with the evaluation in its manifest."""
        draft = load(self.out / "contenders" / "student" / precision)
        return rebundle(self.out / "contenders" / "student" / precision, draft, self.out / BUNDLE, line)

    def _teacher_title(self) -> str:
        number = self.teaching.teacher.num_parameters
        return f"{self.recipe.teacher.kind}, {number:,} parameters" if number else self.recipe.teacher.kind

    def _licenses(self) -> dict[str, str]:
        return {"bundle": self.recipe.export.license} if self.recipe.export.license else {}


def rebundle(source: Path, model: Model, target: Path, evaluation: dict[str, Any]) -> str:
    """A bundle's files under a manifest with another evaluation, and as one zip beside it; returns the digest."""
    from potstill.runtime.bundle import write_bundle

    files = {path.name: path.read_bytes() for path in source.iterdir() if path.name != "manifest.json"}
    found = write_bundle(target, replace(model.manifest, evaluation=evaluation), files)
    load(target).self_test()
    pack(target, target.with_suffix(".zip"))
    return found


def _best_of_other_signal(trials: Sequence[TrialResult], winner: TrialResult) -> TrialResult | None:
    """The best trial on dev that learned from the other kind of label."""
    others = [r for r in trials if r.trial.signal != winner.trial.signal and not r.error]
    return min(others, key=lambda r: r.dev_nll, default=None)
