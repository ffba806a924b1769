"""Reverse KL divergence: from the student's next-token distribution to the teacher's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor

from potstill.losses.tokens.base import check_temperature


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ReverseKL:
    """KL(q || p): the student says only what the teacher would (Gu et al. 2024, MiniLLM, arXiv 2306.08543).

    On top-k signals the tail counts as one bucket, so the student isn't told which rare tokens are wrong.

    Attributes:
        temperature: T > 0; above 1 only with the teacher's full distribution.
    """

    kind: Literal["reverse_kl"] = "reverse_kl"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    @property
    def needs(self) -> Literal["distribution"]:
        """The teacher's distribution."""
        return "distribution"

    @property
    def by_rank(self) -> bool:
        """Tokens are matched by id."""
        return False

    def compare(self, student_log_NM: Tensor, teacher_log_NM: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of q (log q - log p)."""
        pull_NM = student_log_NM.exp() * (student_log_NM - teacher_log_NM)
        return pull_NM.sum(-1), pull_NM
