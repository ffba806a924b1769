"""Hashed n-grams under a linear head: the honest floor, and sometimes the winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.runtime.preprocess import HashedNgrams
from potstill.students.base import Student, StudentContext, StudentOutput
from potstill.students.tokenizer import is_dense
from potstill.types import Input


class LinearNgrams(nn.Module):
    """A weighted sum of one row of logits for each n-gram. Shapes: B batch, F n-grams, C logits."""

    def __init__(self, num_buckets: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        self.rows = nn.Embedding(num_buckets, num_logits)
        nn.init.zeros_(self.rows.weight)
        self.bias = nn.Parameter(torch.zeros(num_logits))
        self.dropout = dropout

    def forward(self, ids: Tensor, weights: Tensor) -> StudentOutput:
        """Bucket ids and their weights, B x F each; padding weighs 0."""
        weights_B1F = F.dropout(weights, self.dropout, self.training).unsqueeze(1)
        logits_BC = (weights_B1F @ self.rows(ids)).squeeze(1) + self.bias
        return StudentOutput(logits_BC, logits_BC)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    """TF-IDF of hashed word and character n-grams under softmax regression.

    Attributes:
        num_buckets: rows of the table; n-grams that fall together share one.
        word_ngrams: lengths of word n-grams, from and to.
        char_ngrams: lengths of character n-grams, from and to.
        across_words: whether character n-grams run across words, over the whole text.
        least_count: texts of the transfer set that a bucket must stand in, else it isn't looked at.
    """

    kind: Literal["linear"] = "linear"
    num_buckets: int = 16384
    word_ngrams: tuple[int, int] = (1, 2)
    char_ngrams: tuple[int, int] = (2, 4)
    across_words: bool = False
    least_count: int = 1

    def __post_init__(self) -> None:
        if self.num_buckets < 16:
            raise ConfigurationError(f"student.num_buckets is {self.num_buckets}; it must be at least 16")

    def config(self) -> dict[str, Any]:
        """All options."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Counts document frequencies on the transfer set; all weights start at 0.

        A child weighs n-grams as its parent does, else every weight of the device's list would be another one. So
        n-grams that are new since then stay unknown to it.
        """
        ngrams = HashedNgrams(
            num_buckets=self.num_buckets,
            word_ngrams=self.word_ngrams,
            char_ngrams=self.char_ngrams,
            across_words=self.across_words,
            idf=None,
        )
        if context.parent is None:
            return ngram_student(context, ngrams, dropout=dropout, least_count=self.least_count)
        own = context.parent.reading(HashedNgrams)
        if replace(own, idf=None).to_json() != ngrams.to_json():
            raise ConfigurationError(
                f"the parent reads other n-grams than this student: {replace(own, idf=None).to_json()}. Name the "
                "student with the options that the parent was built with."
            )
        module = LinearNgrams(self.num_buckets, context.schema.num_logits, dropout)
        return Student(module=module, preprocessor=own, schema=context.schema)


def usual_linear(inputs: Sequence[Input]) -> Linear:
    """The strongest of these for the script of some texts, as dev rows told (docs/log.md).

    Where a character is a syllable or a word, n-grams that run across words say more, and there are more of them.
    """
    if is_dense([str(text) for text in inputs]):
        return Linear(num_buckets=65_536, char_ngrams=(1, 5), across_words=True, least_count=2)
    return Linear()


def ngram_student(context: StudentContext, ngrams: HashedNgrams, *, least_count: int, dropout: float = 0.0) -> Student:
    """A linear model on these n-grams, weighted by their document frequencies in the transfer set."""
    counts = np.zeros(ngrams.num_buckets, np.int64)
    for ids, _ in ngrams.encode([str(text) for text in context.transfer_inputs]):
        counts[ids] += 1
    idf = (np.log((1 + len(context.transfer_inputs)) / (1 + counts)) + 1).astype(np.float32)
    idf[counts < least_count] = 0
    torch.manual_seed(context.seed)
    module = LinearNgrams(ngrams.num_buckets, context.schema.num_logits, dropout)
    return Student(module=module, preprocessor=replace(ngrams, idf=idf), schema=context.schema)
