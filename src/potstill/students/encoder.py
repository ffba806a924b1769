"""A transformer student: some layers of the pretrained encoder, on a trimmed vocabulary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import numpy as np
import torch

from potstill.errors import ConfigurationError
from potstill.runtime.preprocess import TextTokens
from potstill.runtime.preprocess.text_tokens import tokenizer_size
from potstill.students.base import Student, StudentContext
from potstill.students.bert import BertShape, load_bert
from potstill.students.classifier import EncoderClassifier
from potstill.students.prune import prune_width
from potstill.students.wordpiece import PretrainedEncoder, trim_vocabulary
from potstill.types import IntArray


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Layer drop, vocabulary trim and, if wished, fewer heads and a narrower feed-forward.

    Attributes:
        layers: which layers of the pretrained encoder stay, counted from 0.
        num_heads: attention heads that stay in each layer; None keeps all.
        feed_forward: width of the feed-forward that stays; None keeps all.
        max_length: pieces of a text that are read.
    """

    kind: Literal["encoder"] = "encoder"
    layers: tuple[int, ...] = (0, 3)
    num_heads: int | None = None
    feed_forward: int | None = None
    max_length: int = 64

    def __post_init__(self) -> None:
        if not self.layers or sorted(set(self.layers)) != list(self.layers) or min(self.layers) < 0:
            raise ConfigurationError(
                f"student.layers is {list(self.layers)}; name at least one layer, from 0 on, each once and in order"
            )

    def config(self) -> dict[str, Any]:
        """All options."""
        return {**asdict(self), "layers": list(self.layers)}

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Takes the layers and pieces over and puts a fresh head on them."""
        if context.encoder is None:
            raise ConfigurationError(
                "student.kind is encoder, and this run has no pretrained encoder to take layers from. Use "
                "`student.kind: cnn`, or the encoder teacher."
            )
        shape = BertShape.of(context.encoder.config)
        if max(self.layers) >= shape.num_layers:
            raise ConfigurationError(
                f"student.layers names layer {max(self.layers)}; the encoder has {shape.num_layers}, counted from 0"
            )
        tokenizer_json, old_ids = _pieces(context, context.encoder, self.max_length)
        torch.manual_seed(context.seed)
        bert = load_bert(context.encoder, old_ids=old_ids, layers=self.layers, dropout=dropout)
        bert = prune_width(bert, num_heads=self.num_heads, feed_forward=self.feed_forward)
        module = EncoderClassifier(bert, context.schema.num_logits)
        tokens = TextTokens(tokenizer_json=tokenizer_json, max_length=self.max_length)
        return Student(module=module, preprocessor=tokens, schema=context.schema)


def _pieces(context: StudentContext, encoder: PretrainedEncoder, max_length: int) -> tuple[str, IntArray]:
    """The tokenizer of the student, and which pieces of the encoder its own are."""
    if context.parent is not None:
        tokenizer_json = context.parent.reading(TextTokens).tokenizer_json
        # The vectors come with the parent's other weights; here only their number counts.
        return tokenizer_json, np.zeros(tokenizer_size(tokenizer_json), np.int64)
    texts = [str(text) for text in context.transfer_inputs]
    trimmed = trim_vocabulary(encoder.tokenizer_json, texts, max_length=max_length)
    return trimmed.tokenizer_json, trimmed.old_ids
