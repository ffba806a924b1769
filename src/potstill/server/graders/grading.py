"""The words that all graders share: what is graded, what a grade is, and what can go wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from potstill.errors import PotstillError

Flag = Literal[
    "formula_parse_error",
    "invalid_variable_error",
    "model_grader_parse_error",
    "model_grader_refusal_error",
    "model_grader_server_error",
    "other_error",
    "python_grader_runtime_error",
    "python_grader_server_error",
    "sample_parse_error",
    "truncated_observation_error",
    "unresponsive_reward_error",
]
Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Takes the body of a chat completion and returns the completion: how a grader reaches its judge."""
Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""Texts in, one vector each out."""


class GraderError(PotstillError):
    """One grading that failed; the row counts as errored and not as wrong.

    Attributes:
        flag: which of OpenAI's flags it raises.
    """

    def __init__(self, message: str, flag: Flag = "other_error") -> None:
        super().__init__(message)
        self.flag = flag


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is graded.

    Attributes:
        item: the row of the data source.
        sample: what the model said (`output_text`, `output_json`, `output_tools`, `choices`); None without one.
    """

    item: Mapping[str, Any]
    sample: Mapping[str, Any] | None = None

    def values(self) -> dict[str, Any]:
        """What a template may name."""
        return {"item": self.item, **({} if self.sample is None else {"sample": self.sample})}


@dataclass(frozen=True, kw_only=True)
class Means:
    """What graders may reach; None is what nobody configured.

    Attributes:
        ask: a judge.
        embed: a model of sentences.
        allow_python: whether the administrator lets graders run code.
    """

    ask: Ask | None = None
    embed: Embed | None = None
    allow_python: bool = False


@dataclass(frozen=True, kw_only=True)
class Grade:
    """What a grader found.

    Attributes:
        score: usually in [0, 1].
        passed: whether it is enough.
        sample: the judge's own input, output and usage; None for a grader that asks nobody.
        sub_scores: of a grader made of several.
    """

    score: float
    passed: bool
    sample: dict[str, Any] | None = None
    sub_scores: Mapping[str, float] = field(default_factory=dict)


class Grader(Protocol):
    """A frozen dataclass that is a testing criterion."""

    @property
    def type(self) -> str:
        """Its type in OpenAI's API."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    async def grade(self, subject: Subject, means: Means) -> Grade:
        """Grades one row.

        Raises:
            GraderError: it can't.
        """
        ...
