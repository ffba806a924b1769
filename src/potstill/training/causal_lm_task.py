"""The task of a causal language model: to write the answers, and to find likely what its teacher found likely.

Shapes: B batch, T tokens, N answer tokens of a batch, A answer tokens of a row, K kept alternatives, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from potstill.errors import DataError
from potstill.losses.tokens import (
    CrossEntropy,
    ForwardKL,
    HeadTarget,
    SparseTarget,
    TokenLoss,
    TokenTerm,
    answer_positions,
    head_loss,
)
from potstill.students.base import StudentOutput
from potstill.training.chat_rows import ChatRow, packed, padded
from potstill.training.lower_layers import LowerLayers
from potstill.training.on_policy import OnPolicy
from potstill.training.task import Score, StepLoss
from potstill.types import IntArray

SCORE_BATCH = 64
# Of a training step's tokens so many are looked at to count the right ones: a head for all would cost another pass.
NUM_COUNTED = 32
# Positions whose logits are in memory at once while tokens are counted.
SCORE_GROUP = 256
# Beside cross-entropy, as in the paper of the universal logit loss.
RANK_WEIGHT = 1.5


class CausalLmTask:
    """Cross-entropy where a row's text teaches, a divergence where the teacher's alternatives do; prompts are masked.

    The loss of a row is the sum over its answer's tokens over the mean number of these a row, so that what a step does
    doesn't depend on how its rows are cut into pieces for memory.

    Args:
        model: a causal language model of transformers.
        rows: to learn from.
        dev: to score.
        loss: compares with the teacher's alternatives.
        num_frozen: layers, from the lowest, that stay as they are, and the embedding with a tied head among them.
        packs: put the rows of a step behind each other instead of padding them; none sees another.
        on_policy: lets the student write some answers itself.
    """

    def __init__(
        self,
        model: Any,
        rows: Sequence[ChatRow],
        *,
        dev: Sequence[ChatRow],
        loss: TokenLoss | None = None,
        num_frozen: int = 0,
        packs: bool = False,
        on_policy: OnPolicy | None = None,
    ) -> None:
        if not rows:
            raise DataError("there is no row to learn from")
        self.model = model
        self.rows = rows
        self.dev = dev
        self.distillation = loss or ForwardKL()
        self._packs = packs
        self._on_policy = on_policy
        self._lower = LowerLayers(model, num_frozen, [*rows, *dev]) if num_frozen else None
        self._mean_answer = float(np.mean([len(row.answer) for row in rows]))

    @property
    def trainable(self) -> nn.Module:
        """The model."""
        module: nn.Module = self.model
        return module

    @property
    def lengths(self) -> IntArray:
        """Tokens of each row."""
        return np.array([row.length for row in self.rows], np.int64)

    def loss(self, positions_B: IntArray, step: int) -> StepLoss:
        """Sum over rows. Gradients are made in the forward and used up once, so no part of it is given apart."""
        rows = [self.rows[i] for i in positions_B.tolist()]
        is_own = self._on_policy.pick(rows) if self._on_policy else [False] * len(rows)
        told = [row for row, own in zip(rows, is_own, strict=True) if not own]
        asked = [row for row, own in zip(rows, is_own, strict=True) if own]
        totals: list[Tensor] = []
        num_right = num_judged = 0
        if told:
            totals, num_right, num_judged = self._told(told)
        if self._on_policy and asked:
            own = self._on_policy.write(self.model, asked)
            totals.append(self._compared(self._answer_states(own)[0], self._on_policy.target(own)))
        total = torch.stack(totals).sum()
        return StepLoss(total / self._mean_answer, {}, StudentOutput(total[None], total[None]), num_right, num_judged)

    def _told(self, rows: Sequence[ChatRow]) -> tuple[list[Tensor], int, int]:
        """Sums over the tokens that text teaches, and over those with alternatives of the teacher's; tokens right."""
        hidden_ND, labels_N = self._answer_states(rows)
        stride = max(1, len(labels_N) // NUM_COUNTED)
        num_right, num_judged = self._count_right(hidden_ND[::stride], labels_N[::stride])
        is_soft_N = torch.tensor([told for row in rows for told in row.is_told], device=hidden_ND.device)
        # By rank a student learns how sure to be and never of what, so the text teaches there too.
        is_hard_N = torch.ones_like(is_soft_N) if self.distillation.by_rank else ~is_soft_N
        totals = []
        if bool(is_hard_N.any()):
            target = SparseTarget.of_labels(labels_N[is_hard_N])
            terms = [TokenTerm(name="cross_entropy", loss=CrossEntropy(), target=target)]
            totals.append(head_loss(hidden_ND[is_hard_N], self.model.lm_head.weight, terms).total)
        if bool(is_soft_N.any()):
            targets = [row.target for row in rows if row.target is not None]
            totals.append(self._compared(hidden_ND[is_soft_N], _joined(targets, hidden_ND.device)))
        return totals, num_right, num_judged

    def _count_right(self, hidden_ND: Tensor, labels_N: Tensor) -> tuple[int, int]:
        """Tokens that are the most probable ones, and all."""
        num_right = 0
        for start in range(0, len(labels_N), SCORE_GROUP):
            some = slice(start, start + SCORE_GROUP)
            with torch.no_grad():
                said_G = self.model.lm_head(hidden_ND[some].detach()).argmax(-1)
            num_right += int((said_G == labels_N[some]).sum())
        return num_right, len(labels_N)

    def _compared(self, hidden_ND: Tensor, target: SparseTarget | HeadTarget) -> Tensor:
        weight = RANK_WEIGHT if self.distillation.by_rank else 1.0
        terms = [TokenTerm(name="distillation", loss=self.distillation, target=target, weight=weight)]
        return head_loss(hidden_ND, self.model.lm_head.weight, terms).total

    def _answer_states(self, rows: Sequence[ChatRow]) -> tuple[Tensor, Tensor]:
        """The hidden states that predict the answers' tokens, N x D, and those tokens."""
        device = next(self.model.parameters()).device
        if self._packs:
            ids_1T, places_1T, is_answer_1T, labels_N = packed(rows, device)
            hidden_1TD = self.model.model(input_ids=ids_1T, position_ids=places_1T, use_cache=False).last_hidden_state
            return hidden_1TD[0, is_answer_1T[0]], labels_N
        ids_BT, mask_BT, is_answer_BT = padded(rows, device)
        if self._lower:
            hidden_BTD = self._lower.finish(rows, mask_BT)
        else:
            hidden_BTD = self.model.model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).last_hidden_state
        places_N, labels_N = answer_positions(ids_BT, is_answer_BT)
        return hidden_BTD.flatten(0, 1)[places_N], labels_N

    def score(self) -> Score:
        """Nats a token of the answers of dev, and the share of them that are the most probable ones."""
        if not self.dev:
            return Score(float("nan"))
        was_training = self.model.training
        self.model.eval()
        total, count, num_right = 0.0, 0, 0
        device = next(self.model.parameters()).device.type
        for start in range(0, len(self.dev), SCORE_BATCH):
            rows = self.dev[start : start + SCORE_BATCH]
            with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=_computes_half(self.model)):
                hidden_ND, labels_N = self._answer_states(rows)
                target = SparseTarget.of_labels(labels_N)
                terms = [TokenTerm(name="nll", loss=CrossEntropy(), target=target)]
                total += float(head_loss(hidden_ND, self.model.lm_head.weight, terms).total)
                num_right += self._count_right(hidden_ND, labels_N)[0]
            count += len(labels_N)
        self.model.train(was_training)
        return Score(total / count, num_right / count)


def _computes_half(model: Any) -> bool:
    return bool(model.dtype == torch.bfloat16)


def _joined(targets: Sequence[SparseTarget | HeadTarget], device: Any) -> SparseTarget | HeadTarget:
    """The targets of several rows, one after the other; those of a task are of one kind."""
    states = [target for target in targets if isinstance(target, HeadTarget)]
    if states:
        hidden = torch.cat([target.hidden for target in states]).to(device)
        return HeadTarget(hidden=hidden, head=states[0].head.to(device))
    told = [target for target in targets if isinstance(target, SparseTarget)]
    tails = [target.tail for target in told if target.tail is not None]
    return SparseTarget(
        indices=torch.cat([target.indices for target in told]).to(device),
        logprobs=torch.cat([target.logprobs for target in told]).to(device),
        tail=torch.cat(tails).to(device) if len(tails) == len(told) else None,
        sampled=told[0].sampled,
    )
