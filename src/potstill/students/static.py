"""A bag of piece embeddings under a small network: the smallest and fastest text student."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.runtime.preprocess import TextTokens
from potstill.students.base import Student, StudentContext, StudentOutput
from potstill.students.bert import mean_pool
from potstill.students.piece_embeddings import piece_embeddings
from potstill.types import FloatArray


class BagOfPieces(nn.Module):
    """Mean of the embeddings, one hidden layer, head. Shapes: B batch, T tokens, D width."""

    def __init__(self, table_VD: FloatArray, hidden: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        self.pieces = nn.Embedding(table_VD.shape[0], table_VD.shape[1], _weight=torch.tensor(table_VD))
        self.hidden = nn.Linear(table_VD.shape[1], hidden)
        self.head = nn.Linear(hidden, num_logits)
        self.dropout = dropout

    def forward(self, ids: Tensor) -> StudentOutput:
        """Ids B x T, 0 is padding."""
        mean_BD = mean_pool(F.dropout(self.pieces(ids), self.dropout, self.training), ids)
        embedding = F.relu(self.hidden(mean_BD))
        return StudentOutput(self.head(F.dropout(embedding, self.dropout, self.training)), embedding)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Static:
    """No word order, some microseconds a text.

    Attributes:
        width: of the piece embeddings.
        hidden: units of the hidden layer.
        max_length: pieces of a text that are read.
        vocabulary_size: pieces learned where there is no pretrained tokenizer.
        unit: what is learned then: parts of words, or characters; `auto` looks at the script.
    """

    kind: Literal["static"] = "static"
    width: int = 128
    hidden: int = 256
    max_length: int = 128
    vocabulary_size: int = 4000
    unit: Literal["auto", "pieces", "characters"] = "auto"

    def __post_init__(self) -> None:
        for name in ("width", "hidden", "max_length", "vocabulary_size"):
            if getattr(self, name) < 4:
                raise ConfigurationError(f"student.{name} is {getattr(self, name)}; it must be at least 4")

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Builds the network on the trimmed or learned vocabulary of the transfer set."""
        start = piece_embeddings(
            context, width=self.width, max_length=self.max_length, vocabulary_size=self.vocabulary_size, unit=self.unit
        )
        torch.manual_seed(context.seed)
        module = BagOfPieces(start.table_VD, self.hidden, context.schema.num_logits, dropout)
        tokens = TextTokens(tokenizer_json=start.tokenizer_json, max_length=self.max_length)
        return Student(module=module, preprocessor=tokens, schema=context.schema)
