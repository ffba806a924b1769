"""Mean squared error between hidden states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor

from potstill.losses.base import SignalName


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class HiddenMSE:
    """Mean squared difference of one hidden state a row, mean over its width (TinyBERT, arXiv 1909.10351).

    The layer map and the pooling are the task's; a student of another width needs a linear map there.
    """

    kind: Literal["hidden_mse"] = "hidden_mse"

    @property
    def needs(self) -> SignalName:
        """The teacher's hidden state, shape B x D."""
        return "hidden"

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Takes hidden states of shape B x D each; returns values of shape B."""
        return (student_BC.float() - target.float()).square().mean(-1)
