"""The lower layers of a language model that is tuned above them alone: what they say of a row never changes.

Shapes: B batch, T tokens, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.training.chat_rows import ChatRow, padded

BATCH_SIZE = 32
# Beyond this the states are computed anew in every step, which saves their gradients still.
LARGEST_KEPT_BYTES = 1 << 30


class LowerLayers:
    """Freezes them in place, and computes their states of every row once.

    The states are made in batches of fixed rows, so that a training that goes on finds the very same ones.

    Args:
        model: Llama-like, with layers that are all of one kind.
        count: layers from the lowest.
        rows: all that will be asked for.

    Raises:
        ConfigurationError: no layer would be left to tune, or layers differ in kind.
    """

    def __init__(self, model: Any, count: int, rows: Sequence[ChatRow]) -> None:
        body = model.model
        if not 0 < count < len(body.layers):
            raise ConfigurationError(f"{count} of {len(body.layers)} layers can't stay as they are: one must be tuned")
        if len(set(getattr(model.config, "layer_types", None) or [""])) > 1:
            raise ConfigurationError(
                "the model's layers look back over different spans, so it can't be tuned in part. Set "
                "teacher.tuned_layers=0."
            )
        self._model, self._rows = model, rows
        self._below, self._above = _part(body, body.layers[:count]), _part(body, body.layers[count:])
        self._below.norm = nn.Identity()
        for module in (body.embed_tokens, *body.layers[:count]):
            module.requires_grad_(False)

    def finish(self, rows: Sequence[ChatRow], mask_BT: Tensor) -> Tensor:
        """The last hidden states of rows, B x T x D, with gradients of the upper layers alone."""
        if self._is_kept:
            states = [self._kept[id(row)] for row in rows]
            low_BTD = nn.utils.rnn.pad_sequence(states, batch_first=True).to(mask_BT.device)
        else:
            low_BTD = self._compute(rows)
        found: Tensor = self._above(inputs_embeds=low_BTD, attention_mask=mask_BT, use_cache=False).last_hidden_state
        return found

    @property
    def _is_kept(self) -> bool:
        width = int(self._model.config.hidden_size)
        return sum(row.length for row in self._rows) * width * 4 <= LARGEST_KEPT_BYTES

    @cached_property
    def _kept(self) -> dict[int, Tensor]:
        ordered = sorted(self._rows, key=lambda row: row.length)
        found = {}
        for start in range(0, len(ordered), BATCH_SIZE):
            rows = ordered[start : start + BATCH_SIZE]
            for row, states_TD in zip(rows, self._compute(rows), strict=True):
                found[id(row)] = states_TD[: row.length].clone()
        return found

    @torch.no_grad()
    def _compute(self, rows: Sequence[ChatRow]) -> Tensor:
        ids_BT, mask_BT, _ = padded(rows, next(self._model.parameters()).device)
        found: Tensor = self._below(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).last_hidden_state
        return found


def _part(body: Any, layers: nn.ModuleList) -> Any:
    """The same modules with some of the layers; weights are shared, not copied."""
    part = copy.copy(body)
    part._modules = dict(body._modules)
    part.layers = layers
    return part
