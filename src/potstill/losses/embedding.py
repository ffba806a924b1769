"""Losses on pooled features: for transfer sets so small that logits alone say too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.losses.base import SignalName


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingCosine:
    """1 - cos(student, teacher) of the pooled features of each row.

    The student's features must have the teacher's width; the task owns a linear map where they don't.
    """

    kind: Literal["embedding_cosine"] = "embedding_cosine"

    @property
    def needs(self) -> SignalName:
        """The teacher's pooled features, shape B x D."""
        return "embedding"

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Takes features of shape B x D each; returns values in [0, 2], shape B."""
        return 1 - F.cosine_similarity(student_BC.float(), target.float(), dim=-1)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingRelational:
    """Mean squared difference of the cosine similarities between the rows of a batch.

    Compares geometry, so that widths need not match (in the manner of Park et al. 2019, arXiv 1904.05068).
    """

    kind: Literal["embedding_relational"] = "embedding_relational"

    @property
    def needs(self) -> SignalName:
        """The teacher's pooled features, shape B x D."""
        return "embedding"

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Takes features of shape B x D and B x E; returns the mean over the other rows, shape B."""
        difference_BB = _similarities(student_BC) - _similarities(target)
        others = max(len(student_BC) - 1, 1)
        return difference_BB.square().sum(-1) / others


def _similarities(features_BD: Tensor) -> Tensor:
    unit_BD = F.normalize(features_BD.float(), dim=-1)
    similar_BB = unit_BD @ unit_BD.T
    return similar_BB * (1 - torch.eye(len(unit_BD), device=unit_BD.device))
