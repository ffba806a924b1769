"""Generalised Jensen-Shannon divergence between the teacher's and the student's next-token distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from potstill.losses.tokens.base import check_share, check_temperature


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class JensenShannon:
    """b KL(p || m) + (1 - b) KL(q || m) with m = b p + (1 - b) q (Agarwal et al. 2024, GKD, arXiv 2306.13649).

    Bounded, so a token that the teacher would never say can't dominate a batch.

    Attributes:
        beta: b, the teacher's share in the mixture.
        temperature: T > 0; above 1 only with the teacher's full distribution.
    """

    kind: Literal["jensen_shannon"] = "jensen_shannon"
    beta: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_share("beta", self.beta)
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
        """Both divergences to the mixture; the derivative through the mixture cancels."""
        mixed_NM = torch.logaddexp(teacher_log_NM + math.log(self.beta), student_log_NM + math.log1p(-self.beta))
        teacher_NM = self.beta * teacher_log_NM.exp() * (teacher_log_NM - mixed_NM)
        pull_NM = (1 - self.beta) * student_log_NM.exp() * (student_log_NM - mixed_NM)
        return (teacher_NM + pull_NM).sum(-1), pull_NM
