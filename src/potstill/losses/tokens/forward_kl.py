"""Forward KL divergence from the teacher's next-token distribution to the student's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor

from potstill.losses.tokens.base import check_temperature


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardKL:
    """KL(p || q): the student covers all that the teacher may say (Hinton et al. 2015, arXiv 1503.02531).

    The one loss here whose gradient stays unbiased on sampled signals.

    Attributes:
        temperature: T > 0; above 1 only with the teacher's full distribution.
    """

    kind: Literal["forward_kl"] = "forward_kl"
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
        """Sum of p (log p - log q)."""
        teacher_NM = teacher_log_NM.exp()
        return (teacher_NM * (teacher_log_NM - student_log_NM)).sum(-1), -teacher_NM
