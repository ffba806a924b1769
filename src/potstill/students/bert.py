"""An export-friendly BERT encoder: the same numbers as Hugging Face's, in a few plain operations.

Shapes: B batch, T tokens, D width, H heads, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.students.wordpiece import PretrainedEncoder
from potstill.types import IntArray

# Added to the scores of padding. Large enough that its softmax is 0, small enough for bf16.
MASKED = -1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class BertShape:
    """Sizes of an encoder."""

    vocabulary_size: int
    width: int
    num_layers: int
    num_heads: int
    feed_forward: int
    max_positions: int
    epsilon: float = 1e-12
    activation: str = "gelu"

    @classmethod
    def of(cls, config: dict[str, Any]) -> BertShape:
        """Reads Hugging Face's config.json."""
        return cls(
            vocabulary_size=config["vocab_size"],
            width=config["hidden_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            feed_forward=config["intermediate_size"],
            max_positions=config["max_position_embeddings"],
            epsilon=config.get("layer_norm_eps", 1e-12),
            activation=config.get("hidden_act", "gelu"),
        )


class BertLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual and a layer norm behind it."""

    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.head_width = shape.width // shape.num_heads
        self.dropout = dropout
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.attention_out = nn.Linear(shape.width, shape.width)
        self.attention_norm = nn.LayerNorm(shape.width, shape.epsilon)
        self.up = nn.Linear(shape.width, shape.feed_forward)
        self.down = nn.Linear(shape.feed_forward, shape.width)
        self.out_norm = nn.LayerNorm(shape.width, shape.epsilon)

    def forward(self, x_BTD: Tensor, bias_B11T: Tensor) -> Tensor:
        """One layer; returns B x T x D."""
        batch, length, _ = x_BTD.shape
        # Heads may have been pruned, so their joint width is not the layer's.
        qkv = self.qkv(x_BTD).view(batch, length, 3, self.num_heads, self.head_width)
        q_BHTd, k_BHTd, v_BHTd = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores_BHTT = q_BHTd @ k_BHTd.transpose(-1, -2) / self.head_width**0.5 + bias_B11T
        mixed_BTd = (scores_BHTT.softmax(-1) @ v_BHTd).transpose(1, 2).flatten(2)
        attended = F.dropout(self.attention_out(mixed_BTd), self.dropout, self.training)
        x_BTD = self.attention_norm(x_BTD + attended)
        fed = F.dropout(self.down(F.gelu(self.up(x_BTD))), self.dropout, self.training)
        return cast(Tensor, self.out_norm(x_BTD + fed))


class Bert(nn.Module):
    """The encoder: ids in (0 is padding), hidden states out."""

    def __init__(self, shape: BertShape, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        self.pieces = nn.Embedding(shape.vocabulary_size, shape.width)
        self.positions = nn.Embedding(shape.max_positions, shape.width)
        self.norm = nn.LayerNorm(shape.width, shape.epsilon)
        self.layers = nn.ModuleList(BertLayer(shape, dropout) for _ in range(shape.num_layers))

    def forward(self, ids_BT: Tensor) -> tuple[Tensor, ...]:
        """Hidden states after the embeddings and after each layer, each B x T x D."""
        # A product, since Core ML's converter gives `where` between two numbers no shape.
        bias_B11T = (ids_BT == 0).float()[:, None, None, :] * MASKED
        positions_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        x_BTD = self.norm(self.pieces(ids_BT) + self.positions(positions_T))
        x_BTD = F.dropout(x_BTD, self.dropout, self.training)
        hidden = [x_BTD]
        for layer in self.layers:
            hidden.append(layer(hidden[-1], bias_B11T))
        return tuple(hidden)


def mean_pool(x_BTD: Tensor, ids_BT: Tensor) -> Tensor:
    """Mean over the tokens that aren't padding, B x D."""
    mask_BT1 = (ids_BT != 0).unsqueeze(-1).to(x_BTD.dtype)
    return (x_BTD * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1)


def load_bert(
    encoder: PretrainedEncoder,
    *,
    old_ids: IntArray | None = None,
    layers: Sequence[int] | None = None,
    dropout: float = 0.0,
) -> Bert:
    """Loads pretrained weights, keeping only some pieces and some layers.

    Args:
        encoder: the encoder on disk.
        old_ids: ids of the kept pieces in their new order; None keeps all.
        layers: which layers, counted from 0; None keeps all.
        dropout: of the new module.
    """
    from safetensors.torch import load_file

    stored = load_file(encoder.folder / "model.safetensors")
    stored = {name.removeprefix("bert."): tensor.float() for name, tensor in stored.items()}
    full = BertShape.of(encoder.config)
    kept = tuple(range(full.num_layers)) if layers is None else tuple(layers)
    vocabulary = torch.arange(full.vocabulary_size) if old_ids is None else torch.from_numpy(old_ids)
    module = Bert(
        BertShape(
            vocabulary_size=len(vocabulary),
            width=full.width,
            num_layers=len(kept),
            num_heads=full.num_heads,
            feed_forward=full.feed_forward,
            max_positions=full.max_positions,
            epsilon=full.epsilon,
        ),
        dropout=dropout,
    )
    module.load_state_dict(_renamed(stored, kept, vocabulary))
    return module


def _renamed(stored: dict[str, Tensor], layers: Sequence[int], vocabulary: Tensor) -> dict[str, Tensor]:
    """Hugging Face's tensor names as ours; q, k and v become one matrix, token type 0 joins the positions."""
    token_type = stored["embeddings.token_type_embeddings.weight"][0]
    state = {
        "pieces.weight": stored["embeddings.word_embeddings.weight"][vocabulary],
        "positions.weight": stored["embeddings.position_embeddings.weight"] + token_type,
        "norm.weight": stored["embeddings.LayerNorm.weight"],
        "norm.bias": stored["embeddings.LayerNorm.bias"],
    }
    names = {
        "attention_out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "out_norm": "output.LayerNorm",
    }
    for new, old in enumerate(layers):
        source = f"encoder.layer.{old}."
        for part in ("weight", "bias"):
            qkv = [stored[f"{source}attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            state[f"layers.{new}.qkv.{part}"] = torch.cat(qkv)
            for ours, theirs in names.items():
                state[f"layers.{new}.{ours}.{part}"] = stored[f"{source}{theirs}.{part}"]
    return state
