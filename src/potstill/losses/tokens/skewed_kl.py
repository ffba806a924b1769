"""KL divergence to a mixture that holds a little of the other side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from potstill.losses.tokens.base import check_share, check_temperature


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SkewedKL:
    """KL(p || s p + (1 - s) q), or with `reverse` KL(q || s q + (1 - s) p).

    The skew s keeps the ratio of the two bounded, so gradients stay calm where the student is far off (Ko et al. 2024,
    DistiLLM, arXiv 2402.03898).

    Attributes:
        skew: s.
        reverse: start from the student.
        temperature: T > 0; above 1 only with the teacher's full distribution.
    """

    kind: Literal["skewed_kl"] = "skewed_kl"
    skew: float = 0.1
    reverse: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_share("skew", self.skew)
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
        """The divergence, and its derivative through both places of q."""
        first_NM, other_NM = (student_log_NM, teacher_log_NM) if self.reverse else (teacher_log_NM, student_log_NM)
        mixed_NM = torch.logaddexp(first_NM + math.log(self.skew), other_NM + math.log1p(-self.skew))
        value_NM = first_NM.exp() * (first_NM - mixed_NM)
        if self.reverse:
            share_NM = (student_log_NM + math.log(self.skew) - mixed_NM).exp()
            return value_NM.sum(-1), value_NM - student_log_NM.exp() * share_NM
        share_NM = (student_log_NM + math.log1p(-self.skew) - mixed_NM).exp()
        return value_NM.sum(-1), -teacher_log_NM.exp() * share_NM
