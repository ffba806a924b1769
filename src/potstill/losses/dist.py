"""DIST: match the teacher's relations between classes and between rows instead of its exact probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.losses.base import SignalName

EPSILON = 1e-8


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Dist:
    """1 - Pearson correlation of probabilities, over classes and over rows (Huang et al. 2022, arXiv 2205.10536).

    It asks for the teacher's order and proportions only, so a student far weaker than its teacher is not pulled
    toward a sharpness that it can't reach. The part between rows needs a batch of at least two.

    Attributes:
        temperature: T > 0; the value is scaled by T^2.
        inter_weight: of the correlation over the classes of a row.
        intra_weight: of the correlation over the rows of a class, spread evenly over the rows.
    """

    kind: Literal["dist"] = "dist"
    temperature: float = 1.0
    inter_weight: float = 1.0
    intra_weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigurationError(f"temperature is {self.temperature}; it divides the logits and must be above 0")

    @property
    def needs(self) -> SignalName:
        """The teacher's logits, shape B x C."""
        return "logits"

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Returns a distance in [0, 2 (inter + intra)] times T^2, shape B."""
        student_BC = F.softmax(student_BC.float() / self.temperature, dim=-1)
        teacher_BC = F.softmax(target.float() / self.temperature, dim=-1)
        inter_B = 1 - _correlation(student_BC, teacher_BC)
        value_B = self.inter_weight * inter_B
        if len(student_BC) > 1:
            intra = 1 - _correlation(student_BC.T, teacher_BC.T).mean()
            value_B = value_B + self.intra_weight * intra
        return value_B * self.temperature**2


def _correlation(a_RK: Tensor, b_RK: Tensor) -> Tensor:
    """Pearson correlation along the last axis, shape R."""
    a_RK = a_RK - a_RK.mean(-1, keepdim=True)
    b_RK = b_RK - b_RK.mean(-1, keepdim=True)
    return F.cosine_similarity(a_RK, b_RK, dim=-1, eps=EPSILON)
