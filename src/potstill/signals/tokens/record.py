"""One sample's signals. T tokens, n tokens with a signal, K kept tokens, D width of the state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from potstill.errors import StoreError
from potstill.signals.tokens.format import TokenFormat
from potstill.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenRecord:
    """What a teacher said about one sample; the signal in row i predicts token `first + i`.

    Attributes:
        ids: int32, T: prompt and answer.
        ends: int64, T: where each token ends in the UTF-8 bytes of the rendered text; never falls.
        first: the first token with a signal.
        text: the answer as text, where the ids don't say it (an API).
        indices: int32, n x K: `top_k` from the most probable on; `sampled` distinct draws, -1 for empty places.
        logprobs: float32, n x K: of these tokens; for `sampled`, log of the share of draws.
        tail: float32, n: log of the mass of all other tokens (`top_k`).
        hidden: float32, n x D (`hidden`).
    """

    ids: IntArray
    ends: IntArray
    first: int
    text: str = ""
    indices: IntArray | None = None
    logprobs: FloatArray | None = None
    tail: FloatArray | None = None
    hidden: FloatArray | None = None

    @property
    def num_signals(self) -> int:
        """n: tokens with a signal."""
        return len(self.ids) - self.first

    def check(self, form: TokenFormat) -> None:
        """Compares shapes and ranges with what the entry promises.

        Raises:
            StoreError: a signal of another shape, ids outside of the vocabulary, spans that run backwards.
        """
        n = self.num_signals
        expected: dict[str, dict[str, tuple[int, ...]]] = {
            "top_k": {"indices": (n, form.width), "logprobs": (n, form.width), "tail": (n,)},
            "sampled": {"indices": (n, form.width), "logprobs": (n, form.width)},
            "hidden": {"hidden": (n, form.width)},
            "text": {},
        }
        shapes = expected[form.kind]
        for name in ("indices", "logprobs", "tail", "hidden"):
            value = getattr(self, name)
            shape = None if value is None else value.shape
            if shape != shapes.get(name):
                raise StoreError(f"a {form.kind} record has {name} of shape {shape}, expected {shapes.get(name)}")
        if len(self.ends) != len(self.ids) or not 0 <= self.first <= len(self.ids):
            raise StoreError(f"{len(self.ids)} tokens with {len(self.ends)} byte ends and signals from {self.first}")
        if len(self.ids) and (np.diff(self.ends, prepend=0) < 0).any():
            raise StoreError("the byte ends of the tokens run backwards")
        for name, value in (("ids", self.ids), ("indices", self.indices)):
            if value is not None and value.size and (value.max() >= form.vocabulary_size or value.min() < -1):
                raise StoreError(
                    f"{name} reach {value.max()} and the vocabulary has {form.vocabulary_size} tokens: padding of the "
                    "head must be cut off before a signal is taken"
                )
