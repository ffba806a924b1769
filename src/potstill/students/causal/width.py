"""Narrower causal language models: attention groups and feed-forward units that carry little go.

Shapes: B batch, T tokens, D width, F feed-forward, H query heads, G key-value heads, W width of a head.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.students.causal.cut import build, plain_config


@dataclass(frozen=True)
class Importance:
    """How much each part of each layer says, measured on real text.

    Attributes:
        groups: a layer a tensor of shape G: mean norm of what the query heads of a key-value head put out.
        units: a layer a tensor of shape F: mean size of a feed-forward unit's activation.
    """

    groups: tuple[Tensor, ...]
    units: tuple[Tensor, ...]


@torch.no_grad()
def measure_importance(model: Any, batches: Iterable[dict[str, Tensor]]) -> Importance:
    """Watches the inputs of the output projections (Minitron, Muralidharan et al. 2024, arXiv 2407.14679).

    Args:
        model: Llama-like.
        batches: `input_ids` and `attention_mask`, B x T each; padding doesn't count.
    """
    num_groups = int(model.config.num_key_value_heads)
    layers = model.model.layers
    groups = [torch.zeros(num_groups) for _ in layers]
    units = [torch.zeros(model.config.intermediate_size) for _ in layers]
    mask_BT = torch.ones(1, 1)

    def watch_heads(at: int) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
            said_BTD = inputs[0].float()
            parts_BTGW = said_BTD.view(*said_BTD.shape[:2], num_groups, -1)
            groups[at] += (parts_BTGW.norm(dim=-1) * mask_BT[..., None]).sum((0, 1)).cpu()

        return hook

    def watch_units(at: int) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
            units[at] += (inputs[0].float().abs() * mask_BT[..., None]).sum((0, 1)).cpu()

        return hook

    handles = [layer.self_attn.o_proj.register_forward_pre_hook(watch_heads(i)) for i, layer in enumerate(layers)]
    handles += [layer.mlp.down_proj.register_forward_pre_hook(watch_units(i)) for i, layer in enumerate(layers)]
    num_tokens = 0.0
    try:
        for batch in batches:
            mask_BT = batch["attention_mask"].float()
            num_tokens += float(mask_BT.sum())
            model.model(**batch, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    if not num_tokens:
        raise ConfigurationError("width can't be pruned without text: importance is measured on the training rows")
    return Importance(tuple(g / num_tokens for g in groups), tuple(u / num_tokens for u in units))


def prune_causal_width(
    model: Any, importance: Importance, *, num_groups: int | None = None, feed_forward: int | None = None
) -> Any:
    """A new model with the most important key-value heads (each with its query heads) and feed-forward units.

    Args:
        model: stays as it is.
        importance: of this very model.
        num_groups: key-value heads that stay in each layer; None keeps all.
        feed_forward: feed-forward units that stay in each layer; None keeps all.

    Raises:
        ConfigurationError: more is to stay than there is.
    """
    config = plain_config(model.config)
    groups, units = int(config.num_key_value_heads), int(config.intermediate_size)
    for name, kept, there in (("num_groups", num_groups, groups), ("feed_forward", feed_forward, units)):
        if kept is not None and not 0 < kept <= there:
            raise ConfigurationError(f"student.{name} is {kept}; the model has {there}, and one must stay")
    heads_a_group = config.num_attention_heads // groups
    head_width = _head_width(model.config)
    config.head_dim = head_width
    config.num_key_value_heads = num_groups or groups
    config.num_attention_heads = config.num_key_value_heads * heads_a_group
    config.intermediate_size = feed_forward or units
    state = {name: tensor.detach().float().clone() for name, tensor in model.state_dict().items()}
    if config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    for at in range(config.num_hidden_layers):
        kept_groups = _best(importance.groups[at], config.num_key_value_heads)
        kept_units = _best(importance.units[at], config.intermediate_size)
        _prune_layer(state, f"model.layers.{at}.", kept_groups, kept_units, heads_a_group * head_width, head_width)
    return build(type(model), config, state, generation_config=copy.deepcopy(model.generation_config))


def _head_width(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _best(scores: Tensor, count: int) -> Tensor:
    return scores.topk(count).indices.sort().values


def _prune_layer(
    state: dict[str, Tensor], layer: str, groups: Tensor, units: Tensor, query_width: int, head_width: int
) -> None:
    queries, keys = _spans(groups, query_width), _spans(groups, head_width)
    rows = {
        "self_attn.q_proj": queries,
        "self_attn.k_proj": keys,
        "self_attn.v_proj": keys,
        "mlp.gate_proj": units,
        "mlp.up_proj": units,
    }
    for name, kept in rows.items():
        for part in ("weight", "bias"):
            if (full := f"{layer}{name}.{part}") in state:
                state[full] = state[full][kept].clone()
    for name, kept in (("self_attn.o_proj", queries), ("mlp.down_proj", units)):
        state[f"{layer}{name}.weight"] = state[f"{layer}{name}.weight"][:, kept].clone()


def _spans(groups: Tensor, width: int) -> Tensor:
    """The places of the parts of these groups, each `width` wide."""
    return (groups[:, None] * width + torch.arange(width)).flatten()
