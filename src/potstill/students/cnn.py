"""A small convolutional text student that starts from what the encoder knows of each piece."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.runtime.preprocess import TextTokens
from potstill.students.base import Student, StudentContext, StudentOutput
from potstill.students.piece_embeddings import piece_embeddings
from potstill.types import FloatArray


class TextCnn(nn.Module):
    """Convolutions of width 3 and 5 with max-pooling, beside the mean of the embeddings (Kim 2014, arXiv 1408.5882).

    Shapes: B batch, T tokens, D embedding width, F filters.
    """

    def __init__(self, table_VD: FloatArray, filters: tuple[int, int], num_logits: int, dropout: float) -> None:
        super().__init__()
        width = table_VD.shape[1]
        self.pieces = nn.Embedding(table_VD.shape[0], table_VD.shape[1], _weight=torch.tensor(table_VD))
        self.narrow = nn.Conv1d(width, filters[0], 3, padding=1)
        self.wide = nn.Conv1d(width, filters[1], 5, padding=2)
        self.head = nn.Linear(sum(filters) + width, num_logits)
        self.dropout = dropout

    def forward(self, ids: Tensor) -> StudentOutput:
        """Ids B x T, 0 is padding."""
        mask_BT1 = (ids != 0).unsqueeze(-1).float()
        x_BTD = F.dropout(self.pieces(ids), self.dropout, self.training) * mask_BT1
        x_BDT = x_BTD.transpose(1, 2)
        # Maxima of rectified values are at least 0, so padding needs no other mask than its own zero.
        keep_B1T = mask_BT1.transpose(1, 2)
        narrow_BF = (F.relu(self.narrow(x_BDT)) * keep_B1T).amax(2)
        wide_BF = (F.relu(self.wide(x_BDT)) * keep_B1T).amax(2)
        mean_BD = x_BTD.sum(1) / mask_BT1.sum(1).clamp(min=1)
        embedding = torch.cat([narrow_BF, wide_BF, mean_BD], dim=1)
        return StudentOutput(self.head(F.dropout(embedding, self.dropout, self.training)), embedding)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Cnn:
    """The student for a megabyte and less.

    Attributes:
        width: of the piece embeddings.
        narrow_filters: filters of width 3.
        wide_filters: filters of width 5.
        max_length: pieces of a text that are read.
        vocabulary_size: pieces learned where there is no pretrained tokenizer.
        unit: what is learned then: parts of words, or characters; `auto` looks at the script.
    """

    kind: Literal["cnn"] = "cnn"
    width: int = 128
    narrow_filters: int = 256
    wide_filters: int = 128
    max_length: int = 64
    vocabulary_size: int = 4000
    unit: Literal["auto", "pieces", "characters"] = "auto"

    def __post_init__(self) -> None:
        for name in ("width", "narrow_filters", "wide_filters", "vocabulary_size"):
            if getattr(self, name) < 8:
                raise ConfigurationError(f"student.{name} is {getattr(self, name)}; it must be at least 8")
        if self.max_length < 4:
            raise ConfigurationError(f"student.max_length is {self.max_length}; it must be at least 4")

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Builds the network on the trimmed or learned vocabulary of the transfer set."""
        start = piece_embeddings(
            context, width=self.width, max_length=self.max_length, vocabulary_size=self.vocabulary_size, unit=self.unit
        )
        torch.manual_seed(context.seed)
        filters = (self.narrow_filters, self.wide_filters)
        module = TextCnn(start.table_VD, filters, context.schema.num_logits, dropout)
        tokens = TextTokens(tokenizer_json=start.tokenizer_json, max_length=self.max_length)
        return Student(module=module, preprocessor=tokens, schema=context.schema)
