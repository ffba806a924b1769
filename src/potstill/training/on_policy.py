"""Answers that the student writes while it learns, scored by a teacher at hand.

Shapes: B batch, T tokens, N answer tokens of a batch, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from potstill.losses.tokens import HeadTarget, answer_positions
from potstill.students.causal.decode import write
from potstill.training.chat_rows import ChatRow, padded
from potstill.types import IntArray


@dataclass(frozen=True, kw_only=True)
class OnPolicy:
    """Generalized knowledge distillation (Agarwal et al. 2024, GKD, arXiv 2306.13649).

    What the teacher once answered shows the student only what good answers look like; where its own answers go astray
    nobody tells it. Here it writes, and learns what the teacher would have said at each token of that.

    Attributes:
        teacher: in eval mode, on the student's device.
        old_ids: for each id of the student that of the teacher; None where they are the same.
        share: of the rows with a teacher's answer that the student writes itself, anew in every step.
        end: the student's token that ends an answer.
        max_new_tokens: longest answer.
        temperature: that answers are drawn at.
    """

    teacher: Any
    old_ids: IntArray | None
    share: float
    end: int
    max_new_tokens: int
    temperature: float = 1.0

    def pick(self, rows: Sequence[ChatRow]) -> list[bool]:
        """Which rows are written anew; drawn by torch's global generator, which the loop seeds in every step."""
        drawn = torch.rand(len(rows)) < self.share
        return [bool(drawn[i]) and row.target is not None for i, row in enumerate(rows)]

    def write(self, student: Any, rows: Sequence[ChatRow]) -> list[ChatRow]:
        """The rows with answers of the student's own; no gradient flows through the choice of their tokens."""
        device = next(student.parameters()).device.type
        prompts = [list(row.prompt) for row in rows]
        texts: list[list[int]] = [[]] * len(rows)
        was_training = student.training
        student.eval()
        # Without its cache autocast would hand weights that were cast in here, without gradients, to the training step.
        half = torch.is_autocast_enabled(device)
        with torch.autocast(device, torch.get_autocast_dtype(device), enabled=half, cache_enabled=False):
            told = write(
                student, prompts, end=self.end, max_new_tokens=self.max_new_tokens, temperature=self.temperature
            )
            for position, written in told:
                texts[position] = written.ids.tolist()
        student.train(was_training)
        return [replace(row, answer=ids, target=None) for row, ids in zip(rows, texts, strict=True)]

    @torch.no_grad()
    def target(self, rows: Sequence[ChatRow]) -> HeadTarget:
        """The teacher's distributions at the answers' tokens, over the student's vocabulary."""
        ids_BT, mask_BT, is_answer_BT = padded(rows, self.teacher.device)
        if self.old_ids is not None:
            ids_BT = torch.from_numpy(self.old_ids).to(ids_BT.device)[ids_BT]
        hidden_BTD = self.teacher.model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).last_hidden_state
        places_N, _ = answer_positions(ids_BT, is_answer_BT)
        return HeadTarget(hidden=hidden_BTD.flatten(0, 1)[places_N], head=self._head)

    @cached_property
    def _head(self) -> Tensor:
        """Of the tokens that the student has; what the others had is shared out among these."""
        head_VD: Tensor = self.teacher.lm_head.weight.detach()
        return head_VD if self.old_ids is None else head_VD[torch.from_numpy(self.old_ids).to(head_VD.device)]
