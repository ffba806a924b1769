"""A distance between sorted probabilities, for teachers and students that don't share a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.losses.tokens.base import check_temperature


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class UniversalLogit:
    """Sum of |q - p| over probabilities sorted from the largest (Boizard et al. 2024, ULD, arXiv 2402.12030).

    It compares how sure both are and never of what, so it goes beside a loss on the tokens, not in place of one. Ranks
    beyond `top_k`, or beyond what a stored signal holds, count as one bucket.

    Attributes:
        top_k: ranks that are compared one by one.
        temperature: T > 0; above 1 only with the teacher's full distribution.
    """

    kind: Literal["universal_logit"] = "universal_logit"
    top_k: int = 64
    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if self.top_k < 1:
            raise ConfigurationError(f"top_k is {self.top_k}; at least one rank is compared")

    @property
    def needs(self) -> Literal["distribution"]:
        """The teacher's distribution, over any vocabulary."""
        return "distribution"

    @property
    def by_rank(self) -> bool:
        """Tokens are matched by rank."""
        return True

    def compare(self, student_log_NM: Tensor, teacher_log_NM: Tensor) -> tuple[Tensor, Tensor]:
        """Total absolute difference."""
        student_NM = student_log_NM.exp()
        difference_NM = student_NM - teacher_log_NM.exp()
        return difference_NM.abs().sum(-1), student_NM * torch.sign(difference_NM)
