"""A job from its files to a bundle: check, compile, run, and tell the server about every step."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from potstill.files import canonical_json, write_atomic
from potstill.server.compiling import Compiled, NotClosedError, Row, compile_chats, num_leaks, read_rows
from potstill.server.compiling.free_text import read_written
from potstill.server.jobs.bases import AUTO, SMOLLM2, WRITES, kind_of_base
from potstill.server.jobs.request import JobRequest
from potstill.server.jobs.telling import SKIPPED_IMAGES, Say, event
from potstill.server.remote_pictures import fetch_all, read_fetched, read_hosts
from potstill.server.training_files import Example, read_chat_lines, remote_urls
from potstill.server.training_files.pictures import Reader, SkippedImage

FETCHED = "fetched"


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
    pictures = folder / FETCHED
    read = partial(read_fetched, pictures)
    examples, held_out = _read(order, folder, say, read)
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

    train(request, compiled, held_rows, folder, say, read)


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


def _read(
    order: Mapping[str, Any], folder: Path, say: Say, read: Reader
) -> tuple[Sequence[Example], Sequence[Example]]:
    _fetch(order, folder / FETCHED)
    training = read_chat_lines(Path(order["training"]).read_bytes(), read=read)
    if training.skipped:
        report = [{"line": s.line, "image": s.index, "reason": s.reason} for s in training.skipped]
        write_atomic(folder / SKIPPED_IMAGES, canonical_json(report))
    _report_skipped(say, "skipped", "image(s)", training.skipped)
    if not order["validation"]:
        return training.examples, ()
    validation = read_chat_lines(Path(order["validation"]).read_bytes(), least=1, what="Validation", read=read)
    _report_skipped(say, "skipped held", "validation image(s)", validation.skipped)
    return training.examples, validation.examples


def _report_skipped(say: Say, key: str, what: str, skipped: Sequence[SkippedImage]) -> None:
    if skipped:
        shown = "; ".join(f"line {s.line}, image {s.index}: {s.reason}" for s in skipped[:10])
        event(say, key, f"Skipped {len(skipped)} {what}: {shown}", level="warn")


def _fetch(order: Mapping[str, Any], folder: Path) -> None:
    """Pictures behind addresses, where the administrator allows hosts; without, lines say that they can't be had."""
    hosts = order.get("images_from") or []
    files = [Path(order[name]) for name in ("training", "validation") if order[name]]
    urls = [url for path in files for url in remote_urls(path.read_bytes())] if hosts else []
    if urls:
        asyncio.run(fetch_all(urls, read_hosts(hosts), folder))


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
