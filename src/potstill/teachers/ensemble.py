"""Several teachers as one: the mean of their probabilities. N inputs, C logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, final

import numpy as np

from potstill.errors import ConfigurationError
from potstill.evaluation.metrics import probabilities
from potstill.teachers.base import TeacherContext, TeacherSpec
from potstill.types import Answers, FloatArray, Input, LabelSchema, Teacher

SMALLEST = 1e-9
BLOCK = 512


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """Asks all members; a row that some of them refuse takes the mean of the others.

    Attributes:
        members: other teachers.
        weights: one a member; none weighs all alike.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[TeacherSpec, ...]
    weights: tuple[float, ...] = ()
    minimum_accuracy: float | None = None

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise ConfigurationError(f"teacher.members has {len(self.members)} entry; an ensemble needs at least two")
        if self.weights and (len(self.weights) != len(self.members) or min(self.weights) <= 0):
            raise ConfigurationError(
                f"teacher.weights is {list(self.weights)}; expected one number above 0 for each of {len(self.members)} "
                "members"
            )

    def config(self) -> dict[str, Any]:
        """All options, those of the members too."""
        return {
            "kind": self.kind,
            "members": [member.config() for member in self.members],
            "weights": list(self.weights),
            "minimum_accuracy": self.minimum_accuracy,
        }

    def prepare(self, context: TeacherContext) -> EnsembleTeacher:
        """Brings up all members, each in a folder of its own and with a seed of its own."""
        members = [
            member.prepare(replace(context, folder=context.folder / f"member-{i}", seed=context.seed + i))
            for i, member in enumerate(self.members)
        ]
        weights = np.array(self.weights or [1.0] * len(members))
        return EnsembleTeacher(schema=context.schema, members=tuple(members), weights=tuple(weights / weights.sum()))


@dataclass(frozen=True, kw_only=True)
class EnsembleTeacher:
    """Teachers that answer together."""

    schema: LabelSchema
    members: tuple[Teacher, ...]
    weights: tuple[float, ...]

    @property
    def num_parameters(self) -> int | None:
        """The sum, None where a member doesn't tell."""
        counts = [member.num_parameters for member in self.members]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def identity(self) -> dict[str, Any]:
        """Those of the members, and the weights."""
        return {
            "kind": "ensemble",
            "members": [member.identity() for member in self.members],
            "weights": [round(weight, 12) for weight in self.weights],
        }

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """Answers block by block, so that what is paid for is kept soon."""
        for start in range(0, len(inputs), BLOCK):
            yield self._block(inputs[start : start + BLOCK], start)

    def _block(self, inputs: Sequence[Input], start: int) -> Answers:
        mean_NC = np.zeros((len(inputs), self.schema.num_logits))
        weight_N = np.zeros(len(inputs))
        refused: dict[int, str] = {}
        cost, num_calls, num_tokens = 0.0, 0, 0
        for member, weight in zip(self.members, self.weights, strict=True):
            for part in member.answer(inputs):
                kept = [i for i, p in enumerate(part.positions) if int(p) not in part.refused]
                rows = part.positions[kept]
                mean_NC[rows] += weight * probabilities(part.logits[kept], self.schema)
                weight_N[rows] += weight
                refused.update(part.refused)
                cost, num_calls, num_tokens = cost + part.cost, num_calls + part.num_calls, num_tokens + part.num_tokens
        mean_NC /= np.maximum(weight_N, SMALLEST)[:, None]
        return Answers(
            positions=np.arange(start, start + len(inputs)),
            logits=_as_logits(mean_NC, self.schema),
            refused={start + i: reason for i, reason in refused.items() if weight_N[i] == 0},
            cost=cost,
            num_calls=num_calls,
            num_tokens=num_tokens,
        )


def _as_logits(mean_NC: FloatArray, schema: LabelSchema) -> FloatArray:
    """Logits that give these probabilities: logs of a softmax's, log-odds of a sigmoid's."""
    clipped = np.clip(mean_NC, SMALLEST, 1 - SMALLEST)
    logits_NC = np.log(clipped)
    for field, logit, _ in schema.parts():
        if field.multi:
            logits_NC[:, logit] -= np.log1p(-clipped[:, logit])
    return logits_NC.astype(np.float32)
