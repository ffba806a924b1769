"""Losses fused with the head: logits of a few positions at a time, gradients made in the forward.

Shapes: N positions, G positions of a group, C of a chunk, V vocabulary, D width, K kept tokens.

A language model's logits are its largest tensor. Here a group of positions is multiplied with the head at once, losses
and their gradients are computed chunk by chunk in fp32 in the place of the logits, and the group is multiplied back.
At no time are the logits of all positions in memory, neither the student's nor the teacher's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.losses.tokens.base import TokenTerm
from potstill.losses.tokens.chunk import chunk_loss
from potstill.losses.tokens.target import HeadTarget, SparseTarget

# Positions that are multiplied with the head at once: more are faster and take more memory.
GROUP = 256
# Largest array of a chunk, in numbers: small enough to stay in the cache.
CHUNK_NUMBERS = 1 << 21
# Rows of the head whose gradient is made at once.
HEAD_ROWS = 8192


class HeadLoss(NamedTuple):
    """What `head_loss` returns.

    Attributes:
        total: the sum over positions and terms; its gradient flows into `hidden` and `head`.
        values: one a term, sums over positions without the term's weight, detached.
    """

    total: Tensor
    values: Tensor


def head_loss(
    hidden_ND: Tensor,
    head_VD: Tensor,
    terms: Sequence[TokenTerm],
    *,
    weights_N: Tensor | None = None,
    group: int = GROUP,
) -> HeadLoss:
    """Sum of all terms over all positions, without the logits of all positions ever in memory.

    Under autocast, products are in its type and everything else in fp32. `backward` goes through once.

    Args:
        hidden_ND: the student's last hidden states where there is something to learn (`answer_positions`).
        head_VD: the student's head; a tied one gets its gradient here like any other.
        terms: what to compare with; targets have N positions.
        weights_N: of the positions; None is 1 each. Divide the sum by what you want the mean over.
        group: positions multiplied at once.

    Raises:
        ConfigurationError: a target doesn't fit the loss, the positions or the vocabulary.
    """
    if not terms:
        raise ConfigurationError("no loss was given, so there is nothing to learn")
    for term in terms:
        _check_term(term, len(hidden_ND), len(head_VD))
    with_gradient = torch.is_grad_enabled() and (hidden_ND.requires_grad or head_VD.requires_grad)
    device = hidden_ND.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_ND.dtype
    if weights_N is None:
        weights_N = torch.ones(len(hidden_ND), device=hidden_ND.device)
    total, values = _Fused.apply(  # type: ignore[no-untyped-call]
        hidden_ND, head_VD, tuple(terms), weights_N.float(), dtype, group, with_gradient
    )
    return HeadLoss(total, values)


def _check_term(term: TokenTerm, num_positions: int, vocabulary_size: int) -> None:
    loss, target = term.loss, term.target
    if len(target) != num_positions:
        raise ConfigurationError(f"{term.name}: {num_positions} positions and a target of {len(target)}")
    if isinstance(target, HeadTarget):
        if not loss.by_rank and len(target.tokens()) > vocabulary_size:
            raise ConfigurationError(
                f"{term.name}: the teacher knows {len(target.tokens())} tokens and the student {vocabulary_size}. Give "
                "num_tokens where the rest is padding, the rows that the student kept where it was trimmed, or "
                "universal_logit where they are other tokens."
            )
        return
    if loss.temperature != 1:
        raise ConfigurationError(
            f"{term.name}: temperature is {loss.temperature}, and a signal of some tokens says nothing of other "
            "temperatures. Use 1, or store hidden states."
        )
    if target.sampled and loss.kind not in ("forward_kl", "cross_entropy"):
        raise ConfigurationError(f"{term.name}: {loss.kind} is biased on sampled signals; use forward_kl")
    if not loss.by_rank and int(target.indices.max()) >= vocabulary_size:
        raise ConfigurationError(
            f"{term.name}: the signal names token {int(target.indices.max())} and the student has {vocabulary_size}; "
            "renumber it for a trimmed vocabulary"
        )


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        head_VD: Tensor,
        terms: tuple[TokenTerm, ...],
        weights_N: Tensor,
        dtype: torch.dtype,
        group: int,
        with_gradient: bool,
    ) -> tuple[Tensor, Tensor]:
        device = hidden_ND.device
        values = torch.zeros(len(terms), device=device)
        total = torch.zeros((), device=device)
        wide = with_gradient and hidden_ND.requires_grad
        hidden_grad = torch.empty(hidden_ND.shape, device=device) if wide else None
        head_grad = torch.zeros(head_VD.shape, device=device) if with_gradient and head_VD.requires_grad else None
        with torch.autocast(device.type, enabled=False):
            head = head_VD.detach().to(dtype)
            heads = [t.target.tokens().to(dtype) if isinstance(t.target, HeadTarget) else None for t in terms]
            for start in range(0, len(hidden_ND), group):
                rows = slice(start, min(start + group, len(hidden_ND)))
                hidden_GD = hidden_ND.detach()[rows].to(dtype)
                logits_GV = hidden_GD @ head.T
                total += _group_loss(logits_GV, terms, heads, weights_N, rows, values, with_gradient=with_gradient)
                if hidden_grad is not None:
                    hidden_grad[rows] = logits_GV @ head
                if head_grad is not None:
                    _add_product(head_grad, logits_GV, hidden_GD)
        ctx.gradients = (
            None if hidden_grad is None else hidden_grad.to(hidden_ND.dtype),
            None if head_grad is None else head_grad.to(head_VD.dtype),
        )
        ctx.mark_non_differentiable(values)
        return total, values

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> Any:
        grad_total = cast("Tensor", outputs[0])
        if ctx.gradients is None:
            raise RuntimeError("the gradients of head_loss were used up: call backward once")
        gradients, ctx.gradients = ctx.gradients, None
        if float(grad_total) != 1:
            for gradient in gradients:
                if gradient is not None:
                    gradient.mul_(grad_total)
        return (*gradients, None, None, None, None, None)


def _group_loss(
    logits_GV: Tensor,
    terms: Sequence[TokenTerm],
    heads: Sequence[Tensor | None],
    weights_N: Tensor,
    rows: slice,
    values: Tensor,
    *,
    with_gradient: bool,
) -> Tensor:
    """Puts gradients in the place of the logits, adds to `values`, and returns the weighted sum."""
    teachers = [_teacher_logits(term.target, head, rows) for term, head in zip(terms, heads, strict=True)]
    chunk = max(1, CHUNK_NUMBERS // logits_GV.shape[1])
    total = torch.zeros((), device=logits_GV.device)
    for start in range(0, len(logits_GV), chunk):
        stop = min(start + chunk, len(logits_GV))
        targets = [
            term.target.chunk(rows.start + start, rows.start + stop)
            if isinstance(term.target, SparseTarget)
            else cast("Tensor", teacher)[start:stop]
            for term, teacher in zip(terms, teachers, strict=True)
        ]
        weights_C = weights_N[rows.start + start : rows.start + stop]
        values_MC, gradient_CV = chunk_loss(
            logits_GV[start:stop], terms, targets, weights_C, with_gradient=with_gradient
        )
        for i, (term, value_C) in enumerate(zip(terms, values_MC, strict=True)):
            weighted = (value_C * weights_C).sum()
            values[i] += weighted
            total += term.weight * weighted
        if gradient_CV is not None:
            logits_GV[start:stop] = gradient_CV
    return total


def _teacher_logits(target: SparseTarget | HeadTarget, head: Tensor | None, rows: slice) -> Tensor | None:
    if isinstance(target, SparseTarget) or head is None:
        return None
    return target.hidden.detach()[rows].to(head.dtype) @ head.T


def _add_product(head_grad_VD: Tensor, gradient_GV: Tensor, hidden_GD: Tensor) -> None:
    """Adds gradient^T hidden in fp32, some rows at a time, so that no second copy of the head's size is made."""
    for start in range(0, len(head_grad_VD), HEAD_ROWS):
        part = gradient_GV[:, start : start + HEAD_ROWS].T
        if hidden_GD.dtype == torch.float32:
            head_grad_VD[start : start + HEAD_ROWS].addmm_(part, hidden_GD)
        else:
            head_grad_VD[start : start + HEAD_ROWS] += part @ hidden_GD
