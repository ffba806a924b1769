"""Cross-entropy with the true labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.losses.base import SignalName


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CrossEntropy:
    """-log p(true class), with optional label smoothing (Szegedy et al. 2016, arXiv 1512.00567).

    Attributes:
        label_smoothing: share of the mass spread evenly over all classes, in [0, 1). Use it for a control; under a
            distillation loss the teacher already says how to spread the mass.
    """

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigurationError(f"label_smoothing is {self.label_smoothing}; it is a share, in [0, 1)")

    @property
    def needs(self) -> SignalName:
        """True labels, as class indices of shape B."""
        return "labels"

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Returns nats, shape B."""
        return F.cross_entropy(student_BC.float(), target, reduction="none", label_smoothing=self.label_smoothing)
