"""Cross-entropy with the tokens that stand there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CrossEntropy:
    """-log p(next token): plain language modelling, the control's only loss.

    On the teacher's own answers it is sequence-level distillation (Kim and Rush 2016, arXiv 1606.07947).
    """

    kind: Literal["cross_entropy"] = "cross_entropy"

    @property
    def needs(self) -> Literal["labels"]:
        """The next tokens."""
        return "labels"

    @property
    def temperature(self) -> float:
        """Always 1."""
        return 1.0

    @property
    def by_rank(self) -> bool:
        """Tokens are matched by id."""
        return False

    def compare(self, student_log_NM: Tensor, teacher_log_NM: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of -p log q."""
        teacher_NM = teacher_log_NM.exp()
        return -(teacher_NM * student_log_NM).sum(-1), -teacher_NM
