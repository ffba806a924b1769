"""Narrower transformer layers: keep the heads and feed-forward units that weigh most."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from potstill.errors import ConfigurationError
from potstill.students.bert import Bert, BertLayer


def prune_width(bert: Bert, *, num_heads: int | None, feed_forward: int | None) -> Bert:
    """A copy with fewer attention heads and feed-forward units a layer; None keeps all.

    A head weighs the norm of its part of the output projection, a unit the product of the norms of its input and
    output weights (magnitude pruning, Han et al. 2015, arXiv 1506.02626).

    Raises:
        ConfigurationError: more was asked to stay than there is.
    """
    shape = bert.shape
    if not 0 < (num_heads or shape.num_heads) <= shape.num_heads:
        raise ConfigurationError(f"student.num_heads is {num_heads}; the encoder has {shape.num_heads}")
    if not 0 < (feed_forward or shape.feed_forward) <= shape.feed_forward:
        raise ConfigurationError(f"student.feed_forward is {feed_forward}; the encoder has {shape.feed_forward}")
    if num_heads is None and feed_forward is None:
        return bert
    head_width = shape.width // shape.num_heads
    for layer in cast("list[BertLayer]", list(bert.layers)):
        if num_heads is not None:
            _prune_heads(layer, num_heads, head_width)
        if feed_forward is not None:
            _prune_feed_forward(layer, feed_forward)
    bert.shape = replace(shape, num_heads=num_heads or shape.num_heads, feed_forward=feed_forward or shape.feed_forward)
    return bert


def _prune_heads(layer: BertLayer, num_heads: int, head_width: int) -> None:
    weight_DD = layer.attention_out.weight.data
    norms = weight_DD.view(len(weight_DD), -1, head_width).norm(dim=(0, 2))
    kept = norms.topk(num_heads).indices.sort().values
    columns = (kept[:, None] * head_width + torch.arange(head_width)).flatten()
    old_width = weight_DD.shape[1]
    rows = torch.cat([columns + part * old_width for part in range(3)])
    layer.qkv = _linear(layer.qkv.weight.data[rows], layer.qkv.bias.data[rows])
    layer.attention_out = _linear(weight_DD[:, columns], layer.attention_out.bias.data)
    layer.num_heads = num_heads


def _prune_feed_forward(layer: BertLayer, feed_forward: int) -> None:
    weights = layer.up.weight.data.norm(dim=1) * layer.down.weight.data.norm(dim=0)
    kept = weights.topk(feed_forward).indices.sort().values
    layer.up = _linear(layer.up.weight.data[kept], layer.up.bias.data[kept])
    layer.down = _linear(layer.down.weight.data[:, kept], layer.down.bias.data)


def _linear(weight: Tensor, bias: Tensor) -> torch.nn.Linear:
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.data, linear.bias.data = weight.clone(), bias.clone()
    return linear
