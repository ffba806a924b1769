"""Cross-entropy with the teacher's own answer: pseudo-labelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import torch.nn.functional as F
from torch import Tensor

from potstill.losses.base import SignalName


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class HardLabel:
    """-log p(the teacher's most probable class) (Lee 2013, "Pseudo-Label").

    The opponent that tells how much of a gain comes from soft labels: it has the same rows and the same teacher, but
    nothing of the likeness between classes.
    """

    kind: Literal["hard_label"] = "hard_label"

    @property
    def needs(self) -> SignalName:
        """The teacher's logits, shape B x C."""
        return "logits"

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Returns nats, shape B."""
        return F.cross_entropy(student_BC.float(), target.argmax(-1), reduction="none")
