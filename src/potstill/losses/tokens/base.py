"""What a loss on tokens is: a final frozen dataclass that compares two distributions over buckets.

Shapes: N positions with a target, V vocabulary, D width, K kept tokens, M buckets.

A bucket is a token, or all tokens that a signal doesn't name (the tail). Writing a loss over buckets lets one formula
serve full distributions (M = V), the k largest with the mass of the rest (M = K + 1), and a label (M = 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from torch import Tensor

from potstill.errors import ConfigurationError

if TYPE_CHECKING:
    from potstill.losses.tokens.target import HeadTarget, SparseTarget

# exp of it is the smallest probability that counts; small enough for nobody, large enough for fp32.
FLOOR = -80.0


class TokenLoss(Protocol):
    """Compares the student's distribution with the teacher's, or with the label."""

    @property
    def kind(self) -> str:
        """Its name in a recipe."""
        ...

    @property
    def needs(self) -> Literal["labels", "distribution"]:
        """The signal that it compares with: the tokens that stand there, or the teacher's distribution."""
        ...

    @property
    def temperature(self) -> float:
        """What both sides' logits are divided by; values are scaled by its square."""
        ...

    @property
    def by_rank(self) -> bool:
        """Whether buckets are matched by rank of probability instead of by token (unlike tokenizers)."""
        ...

    def compare(self, student_log_NM: Tensor, teacher_log_NM: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and how it pulls on the student.

        Args:
            student_log_NM: log-probabilities q of the buckets, none below `FLOOR`.
            teacher_log_NM: log-probabilities p of the buckets, none below `FLOOR`.

        Returns:
            Nats of shape N, and q * d value / d q of shape N x M. The same constant times q may be added to the pull of
            all buckets: softmax doesn't see it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class TokenTerm:
    """A loss with its target and its weight in the sum.

    Attributes:
        name: in reports.
        loss: what compares.
        target: what with.
        weight: in the sum; not 0, which would turn a term off and still report it.
    """

    name: str
    loss: TokenLoss
    target: SparseTarget | HeadTarget
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ConfigurationError(f"the weight of {self.name} is {self.weight}; leave a term out instead of 0")


def check_temperature(temperature: float) -> None:
    """Raises ConfigurationError for what can't divide logits."""
    if not temperature > 0:
        raise ConfigurationError(f"temperature is {temperature}; it divides the logits and must be above 0")


def check_share(name: str, share: float) -> None:
    """Raises ConfigurationError for what isn't strictly between 0 and 1."""
    if not 0 < share < 1:
        raise ConfigurationError(f"{name} is {share}; it mixes two distributions and lies between 0 and 1")
