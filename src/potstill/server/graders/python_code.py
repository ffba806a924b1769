"""A grader that is a Python function, where the administrator allows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from potstill.server.graders.grading import Grade, GraderError, Means, Subject
from potstill.server.graders.sandbox import LONGEST_SOURCE, run_grader


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PythonCode:
    """The number that `grade(sample, item)` returns.

    Attributes:
        name: of the criterion.
        source: code that defines `grade`.
        pass_threshold: least score that passes.
    """

    name: str
    source: str
    pass_threshold: float = 0.5
    type: Literal["python"] = "python"

    def __post_init__(self) -> None:
        if len(self.source.encode()) > LONGEST_SOURCE:
            raise GraderError(f"source is longer than {LONGEST_SOURCE} bytes")

    async def grade(self, subject: Subject, means: Means) -> Grade:
        """Runs it in a process of few rights."""
        if not means.allow_python:
            raise GraderError(
                "python graders are turned off on this server: they run code. Its administrator turns them on with "
                "--allow-python-graders.",
                "python_grader_server_error",
            )
        score = await run_grader(self.source, subject.sample, subject.item)
        return Grade(score=score, passed=score >= self.pass_threshold)
