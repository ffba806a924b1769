"""A model gives a row one of several labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

from potstill.server.graders.grading import Grade, GraderError, Means, Subject
from potstill.server.graders.judge import ask_judge, judge_body
from potstill.server.graders.template import fill_messages


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LabelModel:
    """Passes where the judge's label is among those that pass.

    Attributes:
        name: of the criterion.
        model: the judge.
        input: messages with templates.
        labels: what the judge chooses from.
        passing_labels: those that pass.
        sampling_params: of the judge.
    """

    name: str
    model: str
    input: tuple[Mapping[str, Any], ...]
    labels: tuple[str, ...]
    passing_labels: tuple[str, ...]
    sampling_params: Mapping[str, Any] = field(default_factory=dict)
    type: Literal["label_model"] = "label_model"

    def __post_init__(self) -> None:
        strange = set(self.passing_labels) - set(self.labels)
        if strange or not self.labels or not self.passing_labels:
            raise GraderError(
                f"passing_labels is {list(self.passing_labels)}; it names at least one of labels, {list(self.labels)}, "
                "and no other"
            )

    async def grade(self, subject: Subject, means: Means) -> Grade:
        """1 for a passing label, else 0."""
        answer = {"type": "string", "enum": list(self.labels)}
        schema = {
            "type": "object",
            "properties": {"label": answer},
            "required": ["label"],
            "additionalProperties": False,
        }
        body = judge_body(self.model, fill_messages(self.input, subject.values()), schema, self.sampling_params)
        said, sample = await ask_judge(body, means)
        label = said.get("label")
        if label not in self.labels:
            raise GraderError(f"the judge said {label!r}, which is none of the labels", "model_grader_parse_error")
        passed = label in self.passing_labels
        return Grade(score=float(passed), passed=passed, sample=sample)
