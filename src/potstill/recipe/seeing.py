"""Asks the teacher about the views of what the student will see. V views, N rows, C logits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from potstill.data import Data
from potstill.data.views import Views
from potstill.files import digest
from potstill.signals import Capture, Store, capture, project
from potstill.training.task import ViewedInputs
from potstill.types import Input, Progress, Teacher


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the teacher said of the views.

    Attributes:
        viewed: the views with its logits in the service's classes.
        captures: one a view.
        digest: of the logits.
    """

    viewed: ViewedInputs
    captures: tuple[Capture, ...]
    digest: str


def answer_views(
    teacher: Teacher, views: Views, inputs: Sequence[Input], data: Data, store: Store, progress: Progress
) -> Seen:
    """Asks about one view after the other, so that only one of them is in memory.

    The store keeps an answer under the digest of the distorted input itself: an answer that belongs to another row,
    another view or an older version of the code is never found.
    """
    captures, logits, known = [], [], []
    for number in range(1, views.num_views):
        shown = [views.show(inputs, position, number).value for position in range(len(inputs))]
        found = capture(teacher, shown, store, progress)
        logits_NC, known_N = project(found.logits, data.full_schema, data.schema)
        captures.append(found)
        # As narrow as the store keeps them: with many rows and views they are most of what a run holds.
        logits.append(logits_NC.astype(np.float16))
        known.append(known_N & found.known)
    logits_VNC = np.stack(logits)
    return Seen(
        viewed=ViewedInputs(views=views, inputs=inputs, teacher_logits=logits_VNC, known=np.stack(known)),
        digest=digest(logits_VNC.tobytes()),
        captures=tuple(captures),
    )


def joined_captures(captures: Sequence[Capture]) -> Capture:
    """The first one's answers with what all of them took."""
    refused: Counter[str] = Counter()
    for found in captures:
        refused.update(found.num_refused)
    first = captures[0]
    return Capture(
        logits=first.logits,
        known=first.known,
        num_asked=sum(found.num_asked for found in captures),
        num_reused=sum(found.num_reused for found in captures),
        num_refused=dict(refused),
        num_calls=sum(found.num_calls for found in captures),
        num_tokens=sum(found.num_tokens for found in captures),
        cost=sum(found.cost for found in captures),
        cpu_seconds=round(sum(found.cpu_seconds for found in captures), 3),
    )
