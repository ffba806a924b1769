"""From a filter to a job: the check, and the start."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from io import BytesIO

from sqlalchemy import Connection, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from potstill.errors import DataError
from potstill.server.compiling import Compiled, NotClosedError, compile_chats
from potstill.server.compiling.free_text import read_written
from potstill.server.compiling.task import Row
from potstill.server.database.tables import files, job_events, jobs
from potstill.server.datasets import Findings, questions_of, write_dataset
from potstill.server.errors import ApiError, invalid
from potstill.server.files import find_file
from potstill.server.jobs.bases import AUTO, SMOLLM2
from potstill.server.jobs.request import JobRequest
from potstill.server.matching import Filter
from potstill.server.remote_pictures import RemotePictures
from potstill.server.routes import datasets, fine_tuning
from potstill.server.training_files import read_chat_lines
from potstill.server.web.filtering import to_filter, typed_filter
from potstill.server.web.views.distil import DataCheck, DistilPlan, StudentOffer, distil_page
from potstill.server.web.visit import Visit, as_response, go_to, look, send

WRITTEN = "written"
BY_INPUT = {
    "text": ("potstill-cnn", "potstill-static", "potstill-linear"),
    "image": ("potstill-resnet",),
    WRITTEN: (SMOLLM2,),
}
NUM_SHOWN = 50
NUM_FILES = 50
MAX_SHORT = 300


async def show(visit: Visit) -> str:
    """The check of the rows, and what can be made of them."""
    typed = typed_filter(visit)
    return await _page(visit, DistilPlan(filter=typed, check=_NOTHING, students=(), held_out=visit.asked("held_out")))


async def start(visit: Visit) -> Response:
    """Makes the training file and the job."""
    typed = typed_filter(visit)
    plan = DistilPlan(
        filter=typed,
        check=_NOTHING,
        students=(),
        base=visit.sent("base"),
        suffix=visit.sent("suffix"),
        seed=visit.sent("seed"),
        held_out=visit.sent("held_out"),
    )
    try:
        job = await _start(visit, plan)
    except ApiError as refusal:
        return as_response(await _page(visit, replace(plan, refused=str(refusal))), refusal.status)
    return go_to(f"/jobs/{job}")


async def _start(visit: Visit, plan: DistilPlan) -> str:
    wanted = to_filter(visit.viewer.words, plan.filter)
    if not (plan.seed.isascii() and plan.seed.isdecimal() and int(plan.seed[:12]) < 2**31):
        raise invalid(visit.viewer.words("seed_refused"), "seed")
    held_out = plan.held_out or None
    body = datasets.Create(filter=_as_sent(wanted), held_out_file=held_out, filename="distil.jsonl")
    made = await datasets.create(replace(visit.call, body=body))
    request = JobRequest(
        model=plan.base or AUTO,
        training_file=made["file_id"],
        validation_file=held_out,
        suffix=plan.suffix or None,
        seed=int(plan.seed),
    )
    job = await fine_tuning.create(replace(visit.call, body=request))
    return str(job["id"])


def _as_sent(wanted: Filter) -> datasets.DatasetFilter:
    return datasets.DatasetFilter(
        model=wanted.model,
        metadata=dict(wanted.metadata),
        created_after=wanted.created_after,
        created_before=wanted.created_before,
        text=wanted.text,
    )


async def _page(visit: Visit, plan: DistilPlan) -> str:
    services, project = visit.call.services, visit.call.project
    try:
        wanted = to_filter(visit.viewer.words, plan.filter)
    except ApiError as refusal:
        return distil_page(visit.viewer, replace(plan, check=replace(_NOTHING, problem=str(refusal))))
    held_out: set[bytes] = set()
    if plan.held_out:
        row = await services.database.read(lambda c: find_file(c, project, plan.held_out, "held_out"))
        held_out = questions_of(await run_in_threadpool(services.blobs.read, row.digest))

    def read() -> tuple[DataCheck, str, int]:
        lines = BytesIO()
        found = write_dataset(services.database, services.blobs, project, wanted, held_out, lines)
        content = lines.getvalue()
        check, modality = _check(found, content, services.pictures)
        return check, modality, len(content)

    check, modality, size = await run_in_threadpool(read)
    further = services.settings.base_paths() if modality in ("text", WRITTEN) else ()
    bases = (AUTO, *BY_INPUT.get(modality, ()), *further)

    def offer(connection: Connection) -> DistilPlan:
        offers = [
            StudentOffer(base=base, seconds=_seconds(connection, project, base, size), cost=0.0) for base in bases
        ]
        return replace(plan, check=check, students=offers, files=_files(connection, project))

    return distil_page(visit.viewer, await services.database.read(offer))


def _check(found: Findings, content: bytes, pictures: RemotePictures) -> tuple[DataCheck, str]:
    """What the job will see in these lines, and what its student reads: text or image; or that it writes."""
    counted = DataCheck(
        num_rows=found.num_matched,
        num_kept=found.num_rows,
        num_duplicates=len(found.duplicates),
        num_leaks=len(found.leaks),
        num_unusable=len(found.unusable),
        num_conflicts=len(found.conflicts),
    )
    try:
        examples = read_chat_lines(content, read=pictures.presume).examples
        try:
            compiled = compile_chats(examples)
        except NotClosedError:
            rows, strange = read_written(examples)
            return replace(counted, num_kept=len(rows), num_unusable=counted.num_unusable + len(strange)), WRITTEN
    except DataError as error:
        return replace(counted, problem=str(error)), ""
    answers = Counter(_said(row) for row in compiled.rows)
    check = replace(
        counted,
        num_kept=len(compiled.rows) - compiled.num_duplicates,
        num_duplicates=counted.num_duplicates + compiled.num_duplicates,
        num_conflicts=max(counted.num_conflicts, len(compiled.conflicts)),
        conflicts=_conflicts(compiled),
        answers=answers.most_common(NUM_SHOWN),
    )
    return check, compiled.task.prompt.modality


def _conflicts(compiled: Compiled) -> list[tuple[str, tuple[str, str]]]:
    by_line = {row.line: row for row in compiled.rows}
    shown = []
    for pair in compiled.conflicts[:NUM_SHOWN]:
        first, second = (by_line[line] for line in pair)
        prompt = first.input if isinstance(first.input, str) else f"#{first.line}"
        shown.append((prompt[:MAX_SHORT], (_said(first), _said(second))))
    return shown


def _said(row: Row) -> str:
    return ", ".join(row.labels.values())


def _seconds(connection: Connection, project: str, base: str, size: int) -> float | None:
    """From the last job of this base here, by the bytes of its training file; None where there was none."""
    started = (job_events.c.job == jobs.c.id) & (job_events.c.key == "started")
    query = (
        select(jobs.c.finished_at - job_events.c.created_at, files.c.bytes, jobs.c.request)
        .join(job_events, started)
        .join(files, files.c.digest == jobs.c.training_digest)
        .where(jobs.c.project == project, jobs.c.status == "succeeded")
        .order_by(jobs.c.seq.desc())
        .limit(NUM_SHOWN)
    )
    for seconds, num_bytes, request in connection.execute(query):
        if f'"model":"{base}"'.encode() in request and num_bytes:
            return float(seconds) * size / float(num_bytes)
    return None


def _files(connection: Connection, project: str) -> dict[str, str]:
    """Files that could be held out, the newest first."""
    query = select(files.c.id, files.c.filename).where(files.c.project == project, files.c.purpose == "fine-tune")
    return {row.id: row.filename for row in connection.execute(query.order_by(files.c.seq.desc()).limit(NUM_FILES))}


_NOTHING = DataCheck(num_rows=0, num_kept=0)


ENDPOINTS = (look("/distil", show), send("/distil", start))
