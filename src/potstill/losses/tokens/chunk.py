"""Values and gradients of all terms on the logits of one chunk, in closed form and in fp32.

Shapes: C positions, V vocabulary, K kept tokens, M buckets. q is the student's softmax, p the teacher's.

A loss says how it pulls on the bucket probabilities; through softmax the gradient at token i of bucket b is
q_i (pull_b / q_b - sum of pulls). Tokens of the tail share one factor, so the gradient is q times one of two numbers
a position, and the pulls are added at the kept tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.losses.tokens.base import FLOOR, TokenLoss, TokenTerm
from potstill.losses.tokens.target import SparseTarget


def chunk_loss(
    logits_CV: Tensor,
    terms: Sequence[TokenTerm],
    targets: Sequence[SparseTarget | Tensor],
    weights_C: Tensor,
    *,
    with_gradient: bool,
) -> tuple[list[Tensor], Tensor | None]:
    """Values of each term, shape C each, and the gradient of the weighted sum, C x V in fp32.

    Args:
        logits_CV: the student's; left as they are.
        terms: losses with weights.
        targets: for each term some tokens with their log-probabilities, or the teacher's logits.
        weights_C: of the positions.
        with_gradient: None comes back without.
    """
    values: list[Tensor] = [torch.empty(0)] * len(terms)
    dense_CV: Tensor | None = None
    for i, (term, target) in enumerate(zip(terms, targets, strict=True)):
        if isinstance(target, Tensor) and not term.loss.by_rank:
            values[i], part_CV = _dense(term.loss, logits_CV, target, with_gradient=with_gradient)
            if part_CV is not None:
                part_CV *= (term.weight * weights_C)[:, None]
                dense_CV = part_CV if dense_CV is None else dense_CV.add_(part_CV)
    for same in _groups(terms, targets):
        found, part_CV = _softmax_shared(
            logits_CV, [terms[i] for i in same], [targets[i] for i in same], weights_C, with_gradient=with_gradient
        )
        for i, value_C in zip(same, found, strict=True):
            values[i] = value_C
        if part_CV is not None:
            dense_CV = part_CV if dense_CV is None else dense_CV.add_(part_CV)
    return values, dense_CV


def _groups(terms: Sequence[TokenTerm], targets: Sequence[SparseTarget | Tensor]) -> list[list[int]]:
    """Terms on some tokens that can share a pass: those of one temperature, at most one of them with a tail."""
    groups: dict[tuple[float, int], list[int]] = {}
    num_tails = 0
    for i, (term, target) in enumerate(zip(terms, targets, strict=True)):
        has_tail = term.loss.by_rank or (isinstance(target, SparseTarget) and target.tail is not None)
        if has_tail:
            groups.setdefault((term.loss.temperature, num_tails), []).append(i)
            num_tails += 1
        elif isinstance(target, SparseTarget):
            groups.setdefault((term.loss.temperature, 0), []).append(i)
    return list(groups.values())


def _dense(
    loss: TokenLoss, logits_CV: Tensor, teacher_CV: Tensor, *, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """All tokens are buckets. Tokens that only the student has (padding) have no mass in the teacher."""
    scale = loss.temperature
    student_CV = torch.log_softmax(logits_CV.float() / scale, -1).clamp_(min=FLOOR)
    log_CV = torch.log_softmax(teacher_CV.float() / scale, -1).clamp_(min=FLOOR)
    if log_CV.shape[1] < student_CV.shape[1]:
        log_CV = torch.nn.functional.pad(log_CV, (0, student_CV.shape[1] - log_CV.shape[1]), value=FLOOR)
    value_C, pull_CV = loss.compare(student_CV, log_CV)
    if not with_gradient:
        return value_C * scale**2, None
    shared_CV = student_CV.exp_().mul_(pull_CV.sum(-1, keepdim=True))
    return value_C * scale**2, pull_CV.sub_(shared_CV).mul_(scale)


def _softmax_shared(
    logits_CV: Tensor,
    terms: Sequence[TokenTerm],
    targets: Sequence[SparseTarget | Tensor],
    weights_C: Tensor,
    *,
    with_gradient: bool,
) -> tuple[list[Tensor], Tensor | None]:
    """Terms on some tokens and the tail; they share one pass of exponentials."""
    scale = terms[0].loss.temperature
    shifted_CV = logits_CV.float() if scale == 1 else logits_CV.float() / scale
    shifted_CV = shifted_CV - shifted_CV.max(-1, keepdim=True).values
    picked = [_pick(term.loss, target, shifted_CV) for term, target in zip(terms, targets, strict=True)]
    exponents_CV = shifted_CV.exp_()
    log_total_C = exponents_CV.sum(-1).log()
    values, pulls = [], []
    factor_C = torch.zeros_like(log_total_C)
    tail: tuple[Tensor, Tensor, Tensor] | None = None
    for term, (indices_CK, chosen_CK, is_held_CK, teacher_CK, tail_C) in zip(terms, picked, strict=True):
        student_CM = _floored(chosen_CK - log_total_C[:, None], is_held_CK)
        teacher_CM = _floored(teacher_CK, is_held_CK)
        if tail_C is not None:
            rest_C = (_tail_sum(exponents_CV, indices_CK, is_held_CK).log() - log_total_C).clamp(min=FLOOR)
            student_CM = torch.cat([student_CM, rest_C[:, None]], -1)
            teacher_CM = torch.cat([teacher_CM, tail_C.clamp(min=FLOOR)[:, None]], -1)
        value_C, pull_CM = term.loss.compare(student_CM, teacher_CM)
        values.append(value_C * scale**2)
        weight_C = term.weight * weights_C * scale
        factor_C -= weight_C * pull_CM.sum(-1)
        pulls.append((indices_CK, pull_CM[:, : indices_CK.shape[1]] * is_held_CK * weight_C[:, None]))
        if tail_C is not None:
            assert tail is None, "terms with a tail don't share a pass"
            of_tail_C = weight_C * pull_CM[:, -1] / student_CM[:, -1].exp()
            tail = (indices_CK, of_tail_C, torch.where(is_held_CK.any(-1), 0.0, of_tail_C))
    if not with_gradient:
        return values, None
    return values, _gradient(exponents_CV, log_total_C, factor_C, tail, pulls)


def _gradient(
    exponents_CV: Tensor,
    log_total_C: Tensor,
    factor_C: Tensor,
    tail: tuple[Tensor, Tensor, Tensor] | None,
    pulls: Sequence[tuple[Tensor, Tensor]],
) -> Tensor:
    """The probabilities times a factor, another one for tokens of the tail, and the pulls on the kept ones.

    Args:
        exponents_CV: q times its total; written over.
        log_total_C: log of that total.
        factor_C: for all tokens.
        tail: ids of the kept tokens, what to add to the factor of all others, and what to that of the kept ones.
        pulls: ids and what is added there.
    """
    total_C = log_total_C.exp()
    if tail is None:
        gradient_CV = exponents_CV.mul_((factor_C / total_C)[:, None])
    else:
        # Kept tokens are written over, not corrected: the factor of the tail can be larger by orders of magnitude.
        indices_CK, of_tail_C, of_kept_C = tail
        kept_CK = exponents_CV.gather(1, indices_CK) * ((factor_C + of_kept_C) / total_C)[:, None]
        gradient_CV = exponents_CV.mul_(((factor_C + of_tail_C) / total_C)[:, None])
        gradient_CV.scatter_(1, indices_CK, kept_CK)
    for indices_CK, pull_CK in pulls:
        gradient_CV.scatter_add_(1, indices_CK, pull_CK)
    return gradient_CV


def _pick(
    loss: TokenLoss, target: SparseTarget | Tensor, shifted_CV: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Ids, the student's shifted logits there, which are held, the teacher's log-probabilities, and its tail."""
    if loss.by_rank:
        return _pick_ranks(loss, target, shifted_CV)
    assert isinstance(target, SparseTarget), "dense targets are handled apart"
    is_held_CK = target.indices >= 0
    # An empty place repeats its first neighbour and counts for nothing.
    first_C1 = target.indices.max(-1, keepdim=True).values.clamp(min=0)
    indices_CK = torch.where(is_held_CK, target.indices, first_C1)
    return indices_CK, shifted_CV.gather(1, indices_CK), is_held_CK, target.logprobs.float(), target.tail


def _pick_ranks(
    loss: TokenLoss, target: SparseTarget | Tensor, shifted_CV: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    limit = min(int(getattr(loss, "top_k", 64)), shifted_CV.shape[1])
    if isinstance(target, SparseTarget):
        logs_CK = _floored(target.logprobs.float(), target.indices >= 0).sort(-1, descending=True).values
        tail_C = torch.full_like(logs_CK[:, 0], FLOOR) if target.tail is None else target.tail.float()
    else:
        logs_CK = torch.log_softmax(target.float() / loss.temperature, -1).sort(-1, descending=True).values
        tail_C = torch.full_like(logs_CK[:, 0], FLOOR)
    kept_CK, rest_CK = logs_CK[:, :limit], logs_CK[:, limit:]
    if rest_CK.shape[1]:
        tail_C = torch.logaddexp(tail_C, rest_CK.logsumexp(-1))
    chosen_CK, indices_CK = shifted_CV.topk(kept_CK.shape[1], -1)
    return indices_CK, chosen_CK, torch.ones_like(indices_CK, dtype=torch.bool), kept_CK, tail_C


def _floored(logs_CK: Tensor, is_held_CK: Tensor) -> Tensor:
    return torch.where(is_held_CK, logs_CK, FLOOR).clamp(min=FLOOR)


def _tail_sum(exponents_CV: Tensor, indices_CK: Tensor, is_held_CK: Tensor) -> Tensor:
    """Sum over all tokens but the kept ones; exact also where it is tiny, which 1 minus the rest wouldn't be."""
    kept_CK = exponents_CV.gather(1, indices_CK)
    exponents_CV.scatter_(1, indices_CK, 0.0)
    rest_C = exponents_CV.sum(-1)
    exponents_CV.scatter_(1, indices_CK, kept_CK)
    # Where nothing is held, the place that stood in for it belongs to the tail too.
    return torch.where(is_held_CK.any(-1), rest_C, rest_C + kept_CK[:, 0])
