"""How students start: layers, width and vocabulary of a larger model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.data.prompts import Chat
from potstill.recipe.generative.recipe import CausalCut
from potstill.students.causal import (
    Importance,
    cut_causal_lm,
    map_layers,
    measure_importance,
    prune_causal_width,
    trim_tokenizer,
)
from potstill.students.causal.chat import ChatTokens
from potstill.training.chat_rows import ChatRow, padded
from potstill.types import IntArray

# Prompts that importance is measured on: more changes no ranking, and takes time.
NUM_MEASURED, MEASURED_AT_ONCE = 256, 16


@dataclass(frozen=True, kw_only=True)
class Width:
    """How narrow students are; 0 keeps all.

    Attributes:
        groups: key-value heads of a layer.
        feed_forward: units of a layer.
        importance: of the model's parts in the student's layers.
    """

    groups: int
    feed_forward: int
    importance: Importance


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How students start.

    Attributes:
        model: that they are cut from, with its tokens.
        chat: of the student.
        layers: the layer map.
        old_ids: for each id of the student that of the model; None where the vocabulary is whole.
        width: heads and feed-forward units that stay in a layer; None keeps all of them.
    """

    model: Any
    chat: ChatTokens
    layers: tuple[int, ...]
    old_ids: IntArray | None
    width: Width | None = None

    def build(self) -> Any:
        """A fresh student in fp32; each the same."""
        found = cut_causal_lm(self.model, layers=self.layers, old_ids=self.old_ids, tokenizer=self.chat.tokenizer)
        if self.width is None:
            return found
        width = self.width
        return prune_causal_width(
            found, width.importance, num_groups=width.groups or None, feed_forward=width.feed_forward or None
        )

    def new_ids(self) -> IntArray:
        """For each id of the model that of the student, -1 for what it lacks."""
        size = int(self.model.get_input_embeddings().weight.shape[0])
        if self.old_ids is None:
            return np.arange(size)
        found = np.full(size, -1, np.int64)
        found[self.old_ids] = np.arange(len(self.old_ids))
        return found


def make_cut(spec: CausalCut, model: Any, tokens: ChatTokens, chats: Sequence[Chat], answers: Sequence[str]) -> Cut:
    """The student's vocabulary and layers.

    Args:
        spec: of the student.
        model: that it is cut from.
        tokens: of that model.
        chats: all that the student learns from and chooses on; never test rows.
        answers: what the teacher wrote.
    """
    layers = map_layers(int(model.config.num_hidden_layers), spec.layers, spec.spread)
    width = _width(spec, model, tokens, layers, chats) if spec.groups or spec.feed_forward else None
    if not spec.trim_vocabulary:
        return Cut(model=model, chat=tokens, layers=layers, old_ids=None, width=width)
    texts = [tokens.text_of(chat.to_json()) for chat in chats]
    texts += [chat.answer for chat in chats if chat.answer] + list(answers)
    tokenizer, old_ids = trim_tokenizer(tokens.tokenizer, texts)
    return Cut(model=model, chat=ChatTokens(tokenizer), layers=layers, old_ids=old_ids, width=width)


def _width(spec: CausalCut, model: Any, tokens: ChatTokens, layers: Sequence[int], chats: Sequence[Chat]) -> Width:
    """Measured on the model with the student's layers and all tokens."""
    rows = [ChatRow(prompt=tokens.prompt(chat.to_json()), answer=[]) for chat in chats[:NUM_MEASURED]]
    batches = (padded(rows[start : start + MEASURED_AT_ONCE], "cpu") for start in range(0, len(rows), MEASURED_AT_ONCE))
    importance = measure_importance(
        cut_causal_lm(model, layers=layers),
        ({"input_ids": ids_BT, "attention_mask": mask_BT} for ids_BT, mask_BT, _ in batches),
    )
    return Width(groups=spec.groups, feed_forward=spec.feed_forward, importance=importance)
