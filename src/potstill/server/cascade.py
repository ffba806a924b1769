"""`cascade:STUDENT`: the student answers where held-out rows say that it may, and the teacher everywhere else."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from starlette.concurrency import run_in_threadpool

from potstill.server.answerers import Answerer, Json, in_chunks
from potstill.server.errors import ApiError, invalid
from potstill.server.models import Student, find_model
from potstill.server.settings import ANY_MODEL

if TYPE_CHECKING:
    from potstill.server.services import Services

PREFIX = "cascade:"
AGREEMENT = 0.95
"""Share of the rows it answers on which a student must say what its teacher says."""
LEVEL = 0.05
"""Chance that a threshold is taken whose true share is lower."""
STEP = 10
"""Rows from one test to the next, at least."""


def choose_threshold(right_N: Any, confidence_N: Any) -> float | None:
    """The lowest confidence at which a student may answer; None where the rows don't show that it may at all.

    Goes down from the most confident rows and stops at the first place where the share of wrong ones is not shown to
    be below 1 - AGREEMENT (exact binomial test). Tests in a fixed order need no correction for their number.

    Args:
        right_N: whether the student said on a held-out row what the teacher says.
        confidence_N: its calibrated probability there.
    """
    order = np.argsort(-np.asarray(confidence_N, np.float64), kind="stable")
    confidence = np.asarray(confidence_N, np.float64)[order]
    wrong = np.cumsum(~np.asarray(right_N, bool)[order])
    found = None
    # With fewer rows even an answer without a mistake shows nothing.
    following = math.ceil(math.log(LEVEL) / math.log(AGREEMENT))
    for count in range(following, len(order) + 1):
        is_tied = count < len(order) and confidence[count] == confidence[count - 1]
        if count < following or is_tied:
            continue
        if _at_most(int(wrong[count - 1]), count, 1 - AGREEMENT) > LEVEL:
            break
        found, following = float(confidence[count - 1]), count + STEP
    return found


@lru_cache(maxsize=256)
def threshold_of(report: Path) -> float | None:
    """The threshold from the rows of a run's report, which are in no training; None without such rows."""
    try:
        with np.load(io.BytesIO((report / "report_rows.npz").read_bytes()), allow_pickle=False) as arrays:
            labels, answers = arrays["labels"], arrays["answers|student"]
            confidence = arrays["confidence|student"]
    except (OSError, ValueError, KeyError):
        return None
    right = (labels == answers).reshape(len(labels), -1).all(1)
    return choose_threshold(right, confidence.reshape(len(labels), -1).min(1))


@final
class Cascade:
    """An `Answerer` of one request: whose answer it was is known once it is there."""

    def __init__(self, services: Services, student: Student, threshold: float | None) -> None:
        self._services = services
        self._student = student
        self._threshold = threshold
        self._teacher: Answerer | None = None

    @property
    def name(self) -> str:
        """The teacher's where it was asked."""
        return self._student.name if self._teacher is None else self._teacher.name

    @property
    def has_asked(self) -> bool:
        """Whether the teacher was asked; its answer is material for the next student."""
        return self._teacher is not None

    async def complete(self, body: Json) -> Json:
        """The student's answer or the teacher's; the extension field `potstill` says which and why."""
        own = await self._own(body)
        if own is not None and self._may(own):
            own["potstill"] |= {"answered_by": "student", "threshold": self._threshold}
            return own
        self._teacher = self._find_teacher(body)
        found = await self._teacher.complete(_without_teacher(body))
        known = own["potstill"] if own else {"probability": None, "in_scope": None}
        found["potstill"] = {**known, "answered_by": "teacher", "threshold": self._threshold}
        return found

    async def stream(self, body: Json) -> AsyncIterator[Json]:
        """The same in chunks."""
        own = await self._own(body)
        if own is not None and self._may(own):
            chunks = in_chunks(own)
        else:
            self._teacher = self._find_teacher(body)
            chunks = self._teacher.stream(_without_teacher(body))
        async for chunk in chunks:
            yield chunk

    async def _own(self, body: Json) -> Json | None:
        """What the student says; None where it can't read the request."""
        try:
            return await self._student.complete(body)
        except ApiError:
            return None

    def _may(self, own: Json) -> bool:
        worth = own["potstill"]
        is_sure = self._threshold is not None and worth["probability"] >= self._threshold
        return is_sure and worth["in_scope"] is not False and worth["fits_template"] is not False

    def _find_teacher(self, body: Json) -> Answerer:
        names = list(self._services.teachers.settings)
        wanted = body.get("teacher")
        if wanted is None and len(names) == 1 and names[0] != ANY_MODEL:
            wanted = names[0]
        teacher = self._services.teachers.find(wanted) if isinstance(wanted, str) else None
        if teacher is None:
            raise invalid(
                "A cascade asks a teacher. Name one of this server in 'teacher' (an addition of ours; with the SDK: "
                'extra_body={"teacher": NAME}); it can be left out where there is one alone.',
                "teacher",
                "no_such_teacher",
            )
        return teacher


async def find_cascade(services: Services, project: str, model: str) -> Cascade:
    """The cascade of a student.

    Raises:
        ApiError: 404: no such student.
    """
    name = model.removeprefix(PREFIX)
    student = await services.students.find(project, name)
    if not isinstance(student, Student):
        raise invalid("A cascade needs a student that says how sure it is, and this one writes.", "model", "no_cascade")
    row = await services.database.read(lambda connection: find_model(connection, project, name))
    report = services.settings.data / Path(row.folder).parent / "report"
    return Cascade(services, student, await run_in_threadpool(threshold_of, report))


def _without_teacher(body: Json) -> Json:
    return {name: value for name, value in body.items() if name != "teacher"}


def _at_most(count: int, total: int, chance: float) -> float:
    """Probability of at most `count` hits among `total` trials."""
    logs = (
        math.lgamma(total + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(total - hits + 1)
        + hits * math.log(chance)
        + (total - hits) * math.log(1 - chance)
        for hits in range(count + 1)
    )
    return sum(map(math.exp, logs))
