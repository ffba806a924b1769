"""A teacher that exists already: any object that answers, see `potstill.types.Teacher`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

from potstill.errors import ConfigurationError
from potstill.teachers.base import TeacherContext
from potstill.types import Teacher


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """Passes an object on; for Python only, since a file can't hold one.

    Attributes:
        teacher: the object.
        minimum_accuracy: on dev, below which nothing is distilled; None asks only for more than the largest class.
    """

    teacher: Teacher
    kind: Literal["ready"] = "ready"
    minimum_accuracy: float | None = None

    def config(self) -> dict[str, Any]:
        """Its identity."""
        return {"kind": self.kind, "identity": self.teacher.identity(), "minimum_accuracy": self.minimum_accuracy}

    def prepare(self, context: TeacherContext) -> Teacher:
        """The object itself.

        Raises:
            ConfigurationError: it answers with other classes than the data has.
        """
        if self.teacher.schema != context.schema:
            raise ConfigurationError(
                f"the teacher answers with {self.teacher.schema.to_json()}, the data has "
                f"{context.schema.to_json()}. Both must name the same fields and classes in the same order."
            )
        return self.teacher
