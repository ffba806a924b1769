"""Forward KL divergence from the teacher's softened probabilities to the student's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.losses.base import SignalName


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ForwardKL:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) (Hinton et al. 2015, arXiv 1503.02531).

    The sum runs over classes and the caller's mean over rows: a mean over classes would divide the loss by C and
    quietly turn distillation off. T^2 keeps the size of the gradient when T changes.

    Attributes:
        temperature: T > 0. Above 1 the small probabilities count for more.
    """

    kind: Literal["forward_kl"] = "forward_kl"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigurationError(f"temperature is {self.temperature}; it divides the logits and must be above 0")

    @property
    def needs(self) -> SignalName:
        """The teacher's logits, shape B x C."""
        return "logits"

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Returns nats times T^2, shape B."""
        student_log_BC = F.log_softmax(student_BC.float() / self.temperature, dim=-1)
        teacher_log_BC = F.log_softmax(target.float() / self.temperature, dim=-1)
        divergence_BC = teacher_log_BC.exp() * (teacher_log_BC - student_log_BC)
        return divergence_BC.sum(dim=-1) * self.temperature**2
