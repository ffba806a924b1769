"""A network that knows more classes than its service keeps, and says `other` with the mass of those that it doesn't.

Taught all classes it learns what tells them apart, of which one large class of everything else says nothing.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from potstill.students.base import Student, StudentOutput
from potstill.types import LabelSchema

# Of the inner network, in names of weights.
INNER = "all_classes."


class Summing(nn.Module):
    """Shapes: B batch, C logits of the network, K kept classes and `other`."""

    kept: Tensor
    rest: Tensor

    def __init__(self, network: nn.Module, kept: list[int], rest: list[int]) -> None:
        super().__init__()
        self.all_classes = network
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        self.register_buffer("rest", torch.tensor(rest), persistent=False)

    def forward(self, **arrays: Tensor) -> StudentOutput:
        """The network's output with K logits in place of C."""
        found: StudentOutput = self.all_classes(**arrays)
        other_B1 = found.logits.index_select(1, self.rest).logsumexp(1, keepdim=True)
        logits_BK = torch.cat([found.logits.index_select(1, self.kept), other_B1], dim=1)
        return found._replace(logits=logits_BK)


def in_service(student: Student, service: LabelSchema) -> Student:
    """A student with the classes of its service.

    Args:
        student: of these classes, or of all that `other` stands for.
        service: whose last class is `other` where it isn't the student's own schema.
    """
    if student.schema == service:
        return student
    classes, wanted = student.schema.fields[0].classes, service.fields[0].classes
    kept = [classes.index(name) for name in wanted[:-1]]
    rest = [i for i, name in enumerate(classes) if name not in wanted]
    device = next(student.module.parameters()).device
    return replace(student, module=Summing(student.module, kept, rest).to(device), schema=service)


def inner_network(module: nn.Module) -> nn.Module:
    """The network that was trained."""
    return module.all_classes if isinstance(module, Summing) else module
