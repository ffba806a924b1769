"""Several graders joined by a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

from potstill.server.graders.arithmetic import FUNCTIONS, evaluate
from potstill.server.graders.grading import Grade, Grader, GraderError, Means, Subject


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Multi:
    """The value of a formula over the scores of its graders.

    Attributes:
        name: of the criterion.
        graders: by the name that the formula calls them.
        calculate_output: the formula.
        pass_threshold: least value that passes.
    """

    name: str
    graders: Mapping[str, Grader]
    calculate_output: str
    pass_threshold: float = 0.5
    type: Literal["multi"] = "multi"

    def __post_init__(self) -> None:
        if not self.graders or any(grader.type == "multi" for grader in self.graders.values()):
            raise GraderError("a multi grader holds at least one grader, and none of them may be a multi grader itself")
        taken = set(self.graders) & set(FUNCTIONS)
        if taken:
            raise GraderError(f"graders can't be called {', '.join(sorted(taken))}: these are functions of formulas")
        try:
            evaluate(self.calculate_output, dict.fromkeys(self.graders, 0.5))
        except GraderError as error:
            # 1 / (a - b) has no value at 0.5 and may well have one for real scores.
            if error.flag != "unresponsive_reward_error":
                raise

    async def grade(self, subject: Subject, means: Means) -> Grade:
        """Grades with all of them, one after the other."""
        scores = {name: (await grader.grade(subject, means)).score for name, grader in self.graders.items()}
        score = evaluate(self.calculate_output, scores)
        return Grade(score=score, passed=score >= self.pass_threshold, sub_scores=scores)
