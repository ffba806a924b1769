"""What a loss is: a final frozen dataclass that names the signal it needs and gives one value a row."""

from __future__ import annotations

from typing import Literal, Protocol

from torch import Tensor

SignalName = Literal["labels", "logits", "embedding", "hidden"]


class Loss(Protocol):
    """Compares what the student says with one signal.

    The task alone masks rows without a signal, weights losses and takes the mean over the batch. A field
    with several answers arrives as two-class rows (no, yes), so a loss knows only softmax.
    """

    @property
    def needs(self) -> SignalName:
        """The signal that it compares with: true `labels`, or the teacher's `logits`, `embedding`, `hidden`."""
        ...

    def __call__(self, student_BC: Tensor, target: Tensor) -> Tensor:
        """Returns one value for each of the B rows, in float32."""
        ...
