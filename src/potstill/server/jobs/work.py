"""A job from its files to a bundle: check, compile, run, and tell the server about every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.files import canonical_json, write_atomic
from potstill.server.compiling import Compiled, NotClosedError, Row, compile_chats, num_leaks, read_rows
from potstill.server.compiling.free_text import read_written
from potstill.server.jobs.bases import AUTO, SMOLLM2, WRITES, kind_of_base
from potstill.server.jobs.request import JobRequest
from potstill.server.jobs.telling import SKIPPED_IMAGES, Say, event
from potstill.server.training_files import Example, read_chat_lines


def work(order: Mapping[str, Any], folder: Path, say: Say) -> None:
    """Does a job; the same call goes on where it was interrupted.

    Raises:
        PotstillError: the job failed, and says why.
        PreemptedError: it was asked to stop.
    """
    request = JobRequest(**order["request"])
    files = f"training file: {request.training_file}"
    if request.validation_file:
        files += f" and validation file: {request.validation_file}"
    event(say, "validating", f"Validating {files}", status="validating_files")
    examples, held_out = _read(order, folder, say)
    compiled, why = _compiled(request, examples)
    if compiled is None:
        _write(request, order["bases"], why, examples, held_out, folder, say)
        return
    held_rows, strange = read_rows(compiled.task, held_out)
    event(say, "validated", "Files validated, moving job to queued state", status="queued")
    for i, sentence in enumerate(compiled.sentences()):
        event(say, f"compiled {i}", sentence)
    _report_held_out(say, compiled, held_rows, strange)
    event(say, "started", "Fine-tuning job started", status="running")
    # Torch takes seconds to load, and a file that can't be used doesn't need it.
    from potstill.server.jobs.training import train

    train(request, compiled, held_rows, folder, say)


def _compiled(request: JobRequest, examples: Sequence[Example]) -> tuple[Compiled | None, str]:
    """The task of a classifier; or nothing, and why the student writes.

    Raises:
        NotClosedError: the base that was named is a classifier's, and the answers are free text.
    """
    if kind_of_base(request.model) == WRITES:
        return None, f"{request.model} was asked for"
    try:
        return compile_chats(examples), ""
    except NotClosedError as error:
        if request.model != AUTO:
            raise
        return None, str(error).split(". ", 1)[0]


def _write(
    request: JobRequest,
    bases: Mapping[str, str],
    why: str,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    folder: Path,
    say: Say,
) -> None:
    """The rest of a job whose student writes."""
    rows, strange = read_written(examples)
    held, strange_held = read_written(held_out)
    event(say, "validated", "Files validated, moving job to queued state", status="queued")
    auto = next(iter(bases), SMOLLM2)
    name = auto if request.model == AUTO else request.model
    event(say, "compiled 0", f"{why}. Chosen: a generative student cut from {name}")
    for key, lines, what in (("strange", strange, "line(s)"), ("strange held", strange_held, "validation line(s)")):
        if lines:
            shown = ", ".join(map(str, lines[:10]))
            event(say, key, f"Left out {len(lines)} {what} with pictures or calls of tools: {shown}", level="warn")
    event(say, "started", "Fine-tuning job started", status="running")
    from potstill.server.jobs.writing import Base, train_writer

    train_writer(request, Base(name=name, path=bases.get(name, "")), rows, held, folder, say)


def _read(order: Mapping[str, Any], folder: Path, say: Say) -> tuple[Sequence[Example], Sequence[Example]]:
    training = read_chat_lines(Path(order["training"]).read_bytes())
    if training.skipped:
        report = [{"line": s.line, "image": s.index, "reason": s.reason} for s in training.skipped]
        write_atomic(folder / SKIPPED_IMAGES, canonical_json(report))
        shown = "; ".join(f"line {s.line}, image {s.index}: {s.reason}" for s in training.skipped[:10])
        event(say, "skipped", f"Skipped {len(report)} image(s): {shown}", level="warn")
    if not order["validation"]:
        return training.examples, ()
    validation = read_chat_lines(Path(order["validation"]).read_bytes(), least=1, what="Validation")
    return training.examples, validation.examples


def _report_held_out(say: Say, compiled: Compiled, rows: Sequence[Row], strange: Sequence[int]) -> None:
    leaks = num_leaks(compiled.rows, rows)
    if leaks:
        event(
            say,
            "leaks",
            f"{leaks} validation example(s) stand in the training file too; those are not trained on",
            level="warn",
        )
    if strange:
        shown = ", ".join(map(str, strange[:10]))
        event(say, "strange", f"Left out {len(strange)} validation line(s) of another form: {shown}", level="warn")
