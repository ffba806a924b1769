"""Tokenised rows of prompts and answers. B batch, T tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from potstill.losses.tokens import HeadTarget, SparseTarget


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRow:
    """One row, tokenised; the last token of the answer ends it.

    Attributes:
        prompt: token ids.
        answer: token ids.
        target: the teacher's alternatives at the answer's tokens, in this model's vocabulary; None where only the text
            teaches.
        places: of the answer's tokens, those that the target speaks of, in order; None for all.
    """

    prompt: Sequence[int]
    answer: Sequence[int]
    target: SparseTarget | HeadTarget | None = None
    places: Sequence[int] | None = None

    @property
    def is_told(self) -> list[bool]:
        """Of each of the answer's tokens, whether the target speaks of it."""
        if self.target is None or self.places is None:
            return [self.target is not None] * len(self.answer)
        told = set(self.places)
        return [place in told for place in range(len(self.answer))]

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


def packed(rows: Sequence[ChatRow], device: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows behind each other in one sequence without padding: ids, places, which states predict, and the labels.

    Places begin at 0 with every row, which tells transformers where a document begins: attention is kept within it.
    The state at t predicts the token at t + 1, so a row's last state predicts nothing, and never the next row.

    Returns:
        1 x T ids, 1 x T places, 1 x T bool, and the N tokens that are predicted.
    """
    ids = [token for row in rows for token in (*row.prompt, *row.answer)]
    places = [place for row in rows for place in range(row.length)]
    is_answer = [len(row.prompt) <= place + 1 < row.length for row in rows for place in range(row.length)]
    ids_T, is_answer_T = torch.tensor(ids), torch.tensor(is_answer)
    labels_N = ids_T.roll(-1)[is_answer_T]
    return (
        ids_T[None].to(device),
        torch.tensor([places]).to(device),
        is_answer_T[None].to(device),
        labels_N.to(device),
    )
