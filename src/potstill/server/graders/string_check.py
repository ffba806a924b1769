"""Compares two texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from potstill.server.graders.grading import Grade, GraderError, Means, Subject
from potstill.server.graders.template import check_template, render

OPERATIONS = ("eq", "ne", "neq", "like", "ilike")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class StringCheck:
    """`eq`, `ne` (also written `neq`), `like` (the input holds the reference) and `ilike`, the same without case.

    Attributes:
        name: of the criterion.
        input: template of what is checked.
        reference: template of what it is compared with.
        operation: how.
    """

    name: str
    input: str
    reference: str
    operation: str
    type: Literal["string_check"] = "string_check"

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise GraderError(f"operation is {self.operation!r}; string_check knows {', '.join(OPERATIONS)}")
        check_template(self.input)
        check_template(self.reference)

    async def grade(self, subject: Subject, means: Means) -> Grade:
        """1 where it holds, else 0."""
        values = subject.values()
        said, wanted = render(self.input, values), render(self.reference, values)
        if self.operation in ("like", "ilike"):
            fold = self.operation == "ilike"
            holds = (wanted.casefold() in said.casefold()) if fold else (wanted in said)
        else:
            holds = (said == wanted) is (self.operation == "eq")
        return Grade(score=float(holds), passed=holds)
