"""A whole run whose student writes: rows in, a folder with student, report and bundle out; resumes like any other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from potstill.data.prompts import Chat, PromptData, load_prompts
from potstill.evaluation.generation import WrittenAssessment, WrittenContender, assess_written, written_line
from potstill.files import canonical_json, write_atomic
from potstill.recipe.checkpoints import FOLDER
from potstill.recipe.environment import environment
from potstill.recipe.generative.baseline import train_baseline
from potstill.recipe.generative.contest import (
    WritingGround,
    WritingResult,
    hold,
    model_at,
    trials,
    write_texts,
)
from potstill.recipe.generative.cutting import Cut, make_cut
from potstill.recipe.generative.judging import Writer, measured, view_of
from potstill.recipe.generative.recipe import GenerativeRecipe
from potstill.recipe.generative.shipping import NUM_PROBES, ship_writer
from potstill.recipe.generative.teaching import Asked, Tuned, ask, bring_up, chat_rows
from potstill.recipe.generative.telling import make_written_content, tell_choice
from potstill.recipe.generative.translating import Translated, Translator
from potstill.recipe.run import BUNDLE, REPORT, RESULT, Run, check_gates, finished
from potstill.recipe.run_folder import alone, claim
from potstill.report import sentence
from potstill.report.generative import write_written_report
from potstill.signals import default_root
from potstill.teachers.causal_lm import CausalLm
from potstill.teachers.openai_text import OpenAIText
from potstill.training.device import choose_device, probe_precision
from potstill.training.snapshots import forget_snapshots, list_snapshots
from potstill.types import Progress, Silent

NUMERICS = "numerics.json"


@dataclass(frozen=True, kw_only=True)
class Taught:
    """Everybody who was trained.

    Attributes:
        tuned: the teacher.
        asked: what it answered.
        translator: from its tokens to those of the student.
        told: what the student that was chosen learned of it.
        cut: how student and control start.
        student, control: the best of each on dev.
        tried: contender -> all that was tried.
    """

    tuned: Tuned
    asked: Asked
    translator: Translator
    told: Translated
    cut: Cut
    student: WritingResult
    control: WritingResult
    tried: Mapping[str, Sequence[WritingResult]]


def run_generative(
    recipe: GenerativeRecipe,
    out: Path,
    *,
    progress: Progress | None = None,
    tables: Mapping[str, Any] | None = None,
    store: Path | None = None,
    device: str = "auto",
    language: str = "en",
    command: str = "",
) -> Run:
    """Runs a recipe into a folder, or goes on with what is there.

    Args:
        recipe: what to do.
        out: folder of the run.
        progress: where long work says how far it is.
        tables: rows as Python objects in place of files, see `load_prompts`.
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
        progress.stage("data")
        data = load_prompts(recipe.data, tables=tables, seed=recipe.seed)
        done = finished(out, recipe.digest(), data.digest)
        if done is None:
            for finding in data.findings:
                progress.say(sentence(finding, "en"))
            done = _work(recipe, out, data, store or default_root(), choose_device(device), language, command, progress)
        check_gates(recipe.gates, done)
        return Run(out, done)


def _work(
    recipe: GenerativeRecipe,
    out: Path,
    data: PromptData,
    store: Path,
    device: str,
    language: str,
    command: str,
    progress: Progress,
) -> dict[str, Any]:
    """Teaches, trains, judges, reports and ships; the result is written last, its presence says that all is done."""
    torch.set_num_threads(recipe.training.num_threads)
    precision = _settled_precision(out, recipe, device)
    taught = _teach_all(recipe, out, data, store, precision, device, progress)
    progress.stage("evaluation")
    found = _judge(recipe, out, data, taught, store, progress)
    line = written_line(found)
    progress.stage("report")
    bundle_digest, gguf = _ship(recipe, out / BUNDLE, data, taught, taught.student.model, line, progress)
    checkpoints = {}
    step = taught.student.state.best_step or taught.student.state.step
    for at, path in list_snapshots(taught.student.folder).items():
        if at != step:
            target = out / FOLDER / f"step-{at:08d}"
            _ship(recipe, target, data, taught, model_at(path, recipe, taught.cut, precision), {}, progress)
            checkpoints[str(at)] = str(target)
    content = make_written_content(
        recipe,
        data,
        taught.asked,
        found,
        {name: [result.summary() for result in results] for name, results in taught.tried.items()},
        choice=tell_choice(recipe, taught.told, taught.student.trial.name),
        title=out.name,
        command=command,
        environment=environment(device, precision),
        vocabulary=len(taught.cut.chat.tokenizer),
    )
    digests = {**content.digests, "bundle": bundle_digest}
    write_written_report(out / REPORT, replace(content, digests=digests), language=language)
    result = {
        **line,
        "run_dir": str(out),
        "report": str(out / REPORT / "report.html"),
        "bundle": str(out / BUNDLE),
        "bundle_digest": bundle_digest,
        "recipe_digest": recipe.digest(),
        "data_digest": data.digest,
        "gguf": gguf,
        "signal": taught.student.trial.signal,
        "step": step,
        "checkpoints": checkpoints,
        "compared": taught.told.to_json(),
        "teacher_calls": taught.asked.capture.num_asked,
        "prefix_share_reused": taught.asked.prefixes.share_reused,
        "capture_cpu_seconds": taught.asked.capture.cpu_seconds,
    }
    write_atomic(out / RESULT, canonical_json(result))
    for tried in taught.tried["student"]:
        forget_snapshots(tried.folder)
    return result


def _ship(
    recipe: GenerativeRecipe,
    folder: Path,
    data: PromptData,
    taught: Taught,
    model: Any,
    line: Mapping[str, Any],
    progress: Progress,
) -> tuple[str, dict[str, Any] | None]:
    """A bundle with what it must answer; its digest, and what is known of the file for llama.cpp."""
    probed = data.dev[:NUM_PROBES]
    texts = write_texts(model, taught.cut.chat, probed, recipe.teacher.max_new_tokens)
    folder.parent.mkdir(exist_ok=True)
    return ship_writer(
        folder,
        model,
        taught.cut.chat,
        list(zip(probed, texts, strict=True)),
        max_new_tokens=recipe.teacher.max_new_tokens,
        answers=data.closed_answers,
        licenses={"bundle": recipe.license} if recipe.license else {},
        evaluation=line,
        gguf=recipe.gguf,
        progress=progress,
    )


def _settled_precision(out: Path, recipe: GenerativeRecipe, device: str) -> str:
    """Timed once a run: one that goes on must not change its mind."""
    if recipe.training.precision != "auto":
        return recipe.training.precision
    path = out / NUMERICS
    if path.exists():
        return str(json.loads(path.read_bytes())["precision"])
    found = probe_precision(device, num_threads=recipe.training.num_threads)
    write_atomic(path, canonical_json({"precision": found}))
    return found


def _teach_all(
    recipe: GenerativeRecipe, out: Path, data: PromptData, store: Path, precision: str, device: str, progress: Progress
) -> Taught:
    tuned = bring_up(recipe, data, out, precision=precision, device=device, progress=progress)
    # Without unlabelled prompts it answers those that have an answer: how sure it is says something still.
    pool: Sequence[Chat] = data.unlabelled or data.train
    asked = ask(tuned, pool, store, progress)
    asked.require_answers()
    written = [text for text in asked.spelled if text is not None]
    cut = make_cut(recipe.student, tuned.base, tuned.base_chat, [*data.train, *data.dev, *pool], written)
    ground = WritingGround(
        recipe=recipe,
        data=data,
        cut=cut,
        teacher=tuned.model,
        num_steps=recipe.training.num_steps(len(data.train) + len(written)),
        out=out,
        precision=precision,
        device=device,
        progress=progress,
    )
    student_trials, control_trials = trials(recipe, tuned.teacher.form.kind)
    translator, gold = Translator(tuned, cut), chat_rows(data.train, cut.chat)
    told = {t.signal: translator.rows(pool, asked, with_signal=t.signal == "top_k") for t in student_trials}
    student, tried = hold("student", student_trials, lambda t: [*gold, *told[t.signal].rows], ground)
    control, also = hold("control", control_trials, lambda _: gold, ground)
    return Taught(
        tuned=tuned,
        asked=asked,
        translator=translator,
        told=told[student.trial.signal],
        cut=cut,
        student=student,
        control=control,
        tried={"student": tried, "control": also},
    )


def _judge(
    recipe: GenerativeRecipe, out: Path, data: PromptData, taught: Taught, store: Path, progress: Progress
) -> WrittenAssessment:
    tuned = taught.tuned
    layers = len(taught.cut.layers)
    writers = []
    if tuned.model is not None:
        own_ids = np.arange(int(tuned.model.get_input_embeddings().weight.shape[0]))
        title = _teacher_title(recipe, tuned)
        writers.append(
            Writer(name="teacher", title=title, model=tuned.model, chat=tuned.chat, new_ids=own_ids, curve=tuned.curve)
        )
    for name, result in (("student", taught.student), ("control", taught.control)):
        title = f"{layers} layers, {len(taught.cut.chat.tokenizer):,} tokens, {result.trial.name}"
        writers.append(
            Writer(
                name=name,
                title=title,
                model=result.model,
                chat=taught.cut.chat,
                new_ids=taught.translator.new_ids,
                curve=result.state.curve,
            )
        )
    view = None if tuned.model is None else view_of(writers[0], data.test)
    contenders = measured(writers, data.test, view, recipe.teacher.max_new_tokens)
    if view is None:
        assert tuned.voice is not None, "a teacher that is not at hand has one"
        said = ask(replace(tuned, teacher=tuned.voice), data.test, store, progress)
        texts = [text or "" for text in said.texts]
        contenders.insert(0, WrittenContender(name="teacher", title=_teacher_title(recipe, tuned), texts=texts))
    if recipe.baseline:
        pool = data.unlabelled or data.train
        baseline = train_baseline(data, pool, taught.asked, out, seed=recipe.seed, progress=progress)
        contenders += [baseline] if baseline else []
    return assess_written(
        contenders,
        [chat.prompt for chat in data.test],
        [chat.answer or "" for chat in data.test],
        sum(len(tuned.chat.answer(chat.answer or "")) for chat in data.test),
        seed=recipe.seed,
    )


def _teacher_title(recipe: GenerativeRecipe, tuned: Tuned) -> str:
    spec = recipe.teacher
    if isinstance(spec, CausalLm):
        return f"{type(tuned.model).__name__}{', tuned on the gold rows' if spec.tune else ''}"
    return spec.model if isinstance(spec, OpenAIText) else f"recorded answers ({spec.column})"
