"""What a loss on tokens compares with: some tokens and the rest, or a teacher that is at hand.

Shapes: N positions, V vocabulary, E the teacher's width, K kept tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.losses.tokens.base import FLOOR


@final
@dataclass(frozen=True, kw_only=True)
class SparseTarget:
    """Some tokens of each position, and what all others have together.

    Attributes:
        indices: N x K, int64 ids in the student's vocabulary; -1 is an empty place.
        logprobs: N x K, float32.
        tail: N, float32 log of the mass of all other tokens; None where there is none to speak of: labels, and
            sampled signals, whose draws stand for the whole distribution.
        sampled: the probabilities are shares of draws; only losses linear in them stay unbiased.
    """

    indices: Tensor
    logprobs: Tensor
    tail: Tensor | None
    sampled: bool = False

    @classmethod
    def of_labels(cls, labels_N: Tensor) -> SparseTarget:
        """All mass on one token a position."""
        return cls(indices=labels_N[:, None], logprobs=torch.zeros(len(labels_N), 1, device=labels_N.device), tail=None)

    def __len__(self) -> int:
        return len(self.indices)

    def renumber(self, new_ids: Tensor) -> SparseTarget:
        """In another vocabulary.

        Args:
            new_ids: for each old id the new one, -1 for tokens that the student lacks; their mass goes to the tail.
        """
        held = self.indices >= 0
        if bool(held.any()) and int(self.indices.max()) >= len(new_ids):
            raise ConfigurationError(
                f"the signal names token {int(self.indices.max())} and its vocabulary has {len(new_ids)}: it was made "
                "with another tokenizer"
            )
        indices = torch.where(held, new_ids[self.indices.clamp(min=0)], -1)
        if self.tail is None:
            return SparseTarget(indices=indices, logprobs=self.logprobs, tail=None, sampled=self.sampled)
        lost_N = torch.where(held & (indices < 0), self.logprobs, FLOOR).logsumexp(-1)
        return SparseTarget(indices=indices, logprobs=self.logprobs, tail=torch.logaddexp(self.tail, lost_N))

    def chunk(self, start: int, stop: int) -> SparseTarget:
        """Positions from `start` to `stop`."""
        tail = None if self.tail is None else self.tail[start:stop]
        return SparseTarget(
            indices=self.indices[start:stop], logprobs=self.logprobs[start:stop], tail=tail, sampled=self.sampled
        )


@final
@dataclass(frozen=True, kw_only=True)
class HeadTarget:
    """The teacher's last hidden states with its head: its distribution is made a few positions at a time.

    For a trimmed student give the rows of the head that stayed (`head[old_ids]`); what is left is normalised again. For
    a padded vocabulary give `num_tokens`: padding of the teacher's takes no part.

    Attributes:
        hidden: N x E, after the last norm.
        head: V x E.
        num_tokens: rows of the head that are tokens; None for all.
    """

    hidden: Tensor
    head: Tensor
    num_tokens: int | None = None

    def __len__(self) -> int:
        return len(self.hidden)

    def tokens(self) -> Tensor:
        """The head's rows that are tokens."""
        return self.head.detach()[: self.num_tokens]
