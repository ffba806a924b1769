"""Asks a teacher for what is not in the store yet. N inputs, C logits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.data.rows import row_digest
from potstill.signals.store import Store
from potstill.types import FloatArray, Input, IntArray, Progress, Teacher


@dataclass(frozen=True, kw_only=True)
class Capture:
    """What the teacher said, and what it took to know.

    Attributes:
        logits: float32, N x C; zeros where nothing is known.
        known: bool, N.
        num_asked: distinct inputs asked for now.
        num_reused: distinct inputs whose answers lay in the store.
        num_refused: reason -> distinct inputs without a usable answer.
        num_calls: calls made now.
        num_tokens: tokens billed now.
        cost: money spent now.
        cpu_seconds: of asking.
    """

    logits: FloatArray
    known: IntArray
    num_asked: int
    num_reused: int
    num_refused: Mapping[str, int]
    num_calls: int
    num_tokens: int
    cost: float
    cpu_seconds: float

    def spend(self) -> dict[str, Any]:
        """The counts as JSON values."""
        names = ("num_asked", "num_reused", "num_refused", "num_calls", "num_tokens", "cost", "cpu_seconds")
        return {name: getattr(self, name) for name in names}


def capture(teacher: Teacher, inputs: Sequence[Input], store: Store, progress: Progress) -> Capture:
    """Returns the teacher's logits for all inputs; equal inputs are asked for once.

    Every answer is on disk before the next is waited for, so a kill loses at most what was in flight.

    Raises:
        TeacherUnavailableError: what was answered so far is kept.
        BudgetError: what was answered so far is kept.
        StoreError: kept answers are damaged.
    """
    started = time.process_time()
    entry = store.entry(teacher.identity(), teacher.schema)
    entry.adopt()
    answers, refused = entry.read(), entry.refused()
    digests = [row_digest(value) for value in inputs]
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    missing = [
        (d, i) for d, i in sorted(first.items(), key=lambda item: item[1]) if d not in answers and d not in refused
    ]
    num_calls = num_tokens = 0
    cost = 0.0
    progress.stage("capture", len(missing))
    if missing:
        asked = [digest for digest, _ in missing]
        with entry.write() as writer:
            for part in teacher.answer([inputs[i] for _, i in missing]):
                writer.keep(asked, part)
                num_calls, num_tokens, cost = num_calls + part.num_calls, num_tokens + part.num_tokens, cost + part.cost
                progress.advance(len(part.positions))
        answers, refused = entry.read(), entry.refused()
    logits_NC = np.zeros((len(inputs), teacher.schema.num_logits), np.float32)
    known_N = np.zeros(len(inputs), bool)
    for i, digest in enumerate(digests):
        if digest in answers:
            logits_NC[i], known_N[i] = answers[digest], True
    reasons = Counter(refused[digest] for digest in first if digest in refused and digest not in answers)
    return Capture(
        logits=logits_NC,
        known=known_N,
        num_asked=len(missing),
        num_reused=len(first) - len(missing),
        num_refused=dict(reasons),
        num_calls=num_calls,
        num_tokens=num_tokens,
        cost=cost,
        cpu_seconds=round(time.process_time() - started, 3),
    )
