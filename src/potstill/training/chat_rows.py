"""Tokenised rows of prompts and answers. B batch, T tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from potstill.losses.tokens import SparseTarget


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRow:
    """One row, tokenised; the last token of the answer ends it.

    Attributes:
        prompt: token ids.
        answer: token ids.
        target: the teacher's alternatives at the answer's tokens, in this model's vocabulary; None where only the text
            teaches.
    """

    prompt: Sequence[int]
    answer: Sequence[int]
    target: SparseTarget | None = None

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.prompt) + len(self.answer)


def padded(rows: Sequence[ChatRow], device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and whether a token belongs to the answer, B x T each; rows end on padding that nothing looks at."""
    longest = max(row.length for row in rows)
    ids_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    mask_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    is_answer_BT = torch.zeros(len(rows), longest, dtype=torch.bool)
    for b, row in enumerate(rows):
        ids_BT[b, : row.length] = torch.tensor([*row.prompt, *row.answer])
        mask_BT[b, : row.length] = 1
        is_answer_BT[b, len(row.prompt) : row.length] = True
    return ids_BT.to(device), mask_BT.to(device), is_answer_BT.to(device)
