"""What a causal language model writes, and how likely it finds what others wrote.

Shapes: B batch, T tokens, P tokens of a shared prefix, V vocabulary, K kept alternatives, A tokens of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
    """

    ids: IntArray
    top_ids: IntArray
    top_logprobs: FloatArray


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
    """
    for group in (plan or plan_prefixes(prompts)).groups:
        prefix = _prefix_cache(model, prompts, group)
        for start in range(0, len(group.members), batch_size):
            members = group.members[start : start + batch_size]
            rests = [prompts[i][group.length :] for i in members]
            answers = _write_batch(
                model, rests, prefix, group.length, end, max_new_tokens, top_k, num_tokens, temperature
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
        logprobs_BV = model.lm_head(output.last_hidden_state[:, -1])[:, :num_tokens].float().log_softmax(-1)
        next_B = _pick(logprobs_BV, temperature)
        top = logprobs_BV.topk(min(top_k, logprobs_BV.shape[1])) if top_k else None
        steps.append((next_B, is_done.clone(), top))
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


def _row(steps: Sequence[tuple[Tensor, Tensor, Any]], b: int) -> Written:
    kept = [(ids, top) for ids, done, top in steps if not bool(done[b])]
    ids = np.array([int(ids[b]) for ids, _ in kept], np.int64)
    if not kept or kept[0][1] is None:
        return Written(ids, np.zeros((len(ids), 0), np.int64), np.zeros((len(ids), 0), np.float32))
    top_ids = np.stack([top.indices[b].cpu().numpy() for _, top in kept])
    return Written(ids, top_ids, np.stack([top.values[b].cpu().numpy() for _, top in kept]))


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
