"""What a causal language model writes, and how likely it finds what others wrote.

Shapes: B batch, T tokens, P tokens of a shared prefix, V vocabulary, D width, K kept alternatives, A tokens
of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from potstill.signals.prefixes import PrefixGroup, PrefixPlan, plan_prefixes
from potstill.types import FloatArray, IntArray

BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Written:
    """One answer, token by token.

    Attributes:
        ids: A, with the token that ends it where it was reached.
        top_ids: A x K, the likeliest first; K is 0 where they weren't asked for.
        top_logprobs: A x K, float32.
        hidden: A x D, float32, what the head read; D is 0 where it wasn't asked for.
    """

    ids: IntArray
    top_ids: IntArray
    top_logprobs: FloatArray
    hidden: FloatArray


class _Step(NamedTuple):
    """One token of every row; is_done says whose answer had ended before."""

    next: Tensor
    is_done: Tensor
    top_ids: Tensor
    top_logprobs: Tensor
    hidden: Tensor


@torch.inference_mode()
def write(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    end: int,
    max_new_tokens: int,
    top_k: int = 0,
    num_tokens: int | None = None,
    batch_size: int = BATCH_SIZE,
    plan: PrefixPlan | None = None,
    temperature: float = 0.0,
    with_hidden: bool = False,
) -> Iterator[tuple[int, Written]]:
    """Answers, greedy or drawn, each with its position; what prompts of a group share is computed once.

    In bf16 logits differ by rounding with the shape of the batch, so near ties may fall otherwise than alone; in fp32
    the answers are those of every prompt by itself.

    Args:
        model: a causal language model of transformers.
        prompts: token ids.
        end: the token that ends an answer.
        max_new_tokens: longest answer.
        top_k: alternatives to keep with each token.
        num_tokens: rows of the head that are tokens; the rest is padding and takes no part. None for all.
        batch_size: prompts at once.
        plan: of the shared prefixes; None makes it, one without groups of length computes everything.
        temperature: that tokens are drawn at, by torch's global generator; 0 takes the likeliest.
        with_hidden: keep the states that the head read.
    """
    for group in (plan or plan_prefixes(prompts)).groups:
        prefix = _prefix_cache(model, prompts, group)
        for start in range(0, len(group.members), batch_size):
            members = group.members[start : start + batch_size]
            rests = [prompts[i][group.length :] for i in members]
            answers = _write_batch(
                model, rests, prefix, group.length, end, max_new_tokens, top_k, num_tokens, temperature, with_hidden
            )
            yield from zip(members, answers, strict=True)


def _prefix_cache(model: Any, prompts: Sequence[Sequence[int]], group: PrefixGroup) -> Any:
    if group.length == 0:
        return None
    ids = torch.tensor([list(prompts[group.members[0]][: group.length])], device=model.device)
    return model.model(input_ids=ids, use_cache=True).past_key_values


def _write_batch(
    model: Any,
    rests: Sequence[Sequence[int]],
    prefix: Any,
    prefix_length: int,
    end: int,
    max_new_tokens: int,
    top_k: int,
    num_tokens: int | None,
    temperature: float,
    with_hidden: bool,
) -> list[Written]:
    ids_BT, mask_BT = _pad_left(rests, model.device)
    places_BT = (mask_BT.cumsum(1) - 1).clamp(min=0) + prefix_length
    mask_BT = torch.cat([mask_BT.new_ones(len(rests), prefix_length), mask_BT], dim=1)
    cache = _copies(prefix, len(rests))
    is_done = torch.zeros(len(rests), dtype=torch.bool, device=model.device)
    steps = []
    for _ in range(max_new_tokens):
        output = model.model(
            input_ids=ids_BT, attention_mask=mask_BT, position_ids=places_BT, past_key_values=cache, use_cache=True
        )
        cache = output.past_key_values
        hidden_BD = output.last_hidden_state[:, -1]
        logprobs_BV = model.lm_head(hidden_BD)[:, :num_tokens].float().log_softmax(-1)
        next_B = _pick(logprobs_BV, temperature)
        top = logprobs_BV.topk(min(top_k, logprobs_BV.shape[1]))
        steps.append(
            _Step(next_B, is_done.clone(), top.indices, top.values, hidden_BD[:, : None if with_hidden else 0])
        )
        is_done |= next_B == end
        if bool(is_done.all()):
            break
        ids_BT, places_BT = next_B[:, None], places_BT[:, -1:] + 1
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rests), 1)], dim=1)
    return [_row(steps, b) for b in range(len(rests))]


def _pick(logprobs_BV: Tensor, temperature: float) -> Tensor:
    if not temperature:
        return logprobs_BV.argmax(-1)
    return torch.multinomial((logprobs_BV / temperature).softmax(-1), 1)[:, 0]


def _pad_left(rows: Sequence[Sequence[int]], device: Any) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    mask_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    for b, row in enumerate(rows):
        ids_BT[b, longest - len(row) :] = torch.tensor(list(row))
        mask_BT[b, longest - len(row) :] = 1
    return ids_BT.to(device), mask_BT.to(device)


def _copies(prefix: Any, count: int) -> Any:
    """The keys and values of a prefix once for each row; the original stays as it is."""
    if prefix is None:
        return None
    from transformers import DynamicCache

    cache = DynamicCache()
    for i, layer in enumerate(prefix.layers):
        cache.update(layer.keys.expand(count, -1, -1, -1), layer.values.expand(count, -1, -1, -1), i)
    return cache


def _row(steps: Sequence[_Step], b: int) -> Written:
    kept = [step for step in steps if not bool(step.is_done[b])]

    def stacked(tensors: Sequence[Tensor]) -> Any:
        return torch.stack([tensor[b] for tensor in tensors]).cpu().numpy()

    return Written(
        ids=stacked([step.next for step in kept]),
        top_ids=stacked([step.top_ids for step in kept]),
        top_logprobs=stacked([step.top_logprobs for step in kept]),
        hidden=stacked([step.hidden.float() for step in kept]),
    )


@torch.inference_mode()
def answer_logprobs(
    model: Any, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], *, batch_size: int = BATCH_SIZE
) -> Iterator[tuple[int, Tensor]]:
    """Log-probabilities over the vocabulary at each token of given answers: A x V, float32, with the position."""
    lengths = [len(p) + len(a) for p, a in zip(prompts, answers, strict=True)]
    order = np.argsort(lengths, kind="stable").tolist()
    for start in range(0, len(order), batch_size):
        members = order[start : start + batch_size]
        rows = [[*prompts[i], *answers[i]] for i in members]
        ids_BT, mask_BT = _pad_left(rows, model.device)
        places_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
        hidden_BTD = model.model(
            input_ids=ids_BT, attention_mask=mask_BT, position_ids=places_BT, use_cache=False
        ).last_hidden_state
        for b, i in enumerate(members):
            length = len(answers[i])
            yield i, model.lm_head(hidden_BTD[b, -length - 1 : -1]).float().log_softmax(-1)
