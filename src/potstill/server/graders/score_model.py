"""A model gives a row a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

from potstill.server.graders.grading import Grade, GraderError, Means, Subject
from potstill.server.graders.judge import ask_judge, judge_body
from potstill.server.graders.template import fill_messages

STEP = {
    "type": "object",
    "properties": {"description": {"type": "string"}, "conclusion": {"type": "string"}},
    "required": ["description", "conclusion"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": STEP}, "result": {"type": "number"}},
    "required": ["steps", "result"],
    "additionalProperties": False,
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreModel:
    """A score within a range; what lies outside is brought to its end, and what is no number counts as 0.

    Attributes:
        name: of the criterion.
        model: the judge.
        input: messages with templates.
        range: lowest and highest score.
        pass_threshold: least score that passes; None takes the middle of the range.
        sampling_params: of the judge.
    """

    name: str
    model: str
    input: tuple[Mapping[str, Any], ...]
    range: tuple[float, float] = (0.0, 1.0)
    pass_threshold: float | None = None
    sampling_params: Mapping[str, Any] = field(default_factory=dict)
    type: Literal["score_model"] = "score_model"

    def __post_init__(self) -> None:
        low, high = self.range
        if not low < high:
            raise GraderError(f"range is {list(self.range)}; its first number must be below its second")

    async def grade(self, subject: Subject, means: Means) -> Grade:
        """The judge's number."""
        body = judge_body(self.model, fill_messages(self.input, subject.values()), SCHEMA, self.sampling_params)
        said, sample = await ask_judge(body, means)
        result = said.get("result")
        low, high = self.range
        score = 0.0
        if isinstance(result, int | float) and not isinstance(result, bool) and math.isfinite(result):
            score = min(max(float(result), low), high)
        threshold = (low + high) / 2 if self.pass_threshold is None else self.pass_threshold
        return Grade(score=score, passed=score >= threshold, sample=sample)
