"""A language model in onnxruntime: token ids in, token ids out. P tokens in the cache, T new ones, V vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from potstill.errors import BundleError
from potstill.runtime.model import open_session
from potstill.types import FloatArray

PAST, PRESENT = "past_key_values.", "present."

Cache = Mapping[str, FloatArray]
"""Keys and values by the name of the input that takes them, 1 x heads x P x width each."""


class OnnxDecoder:
    """Greedy answers, one prompt at a time.

    With a cache every step reads one token; without, all of them again.

    Args:
        model: the ONNX file.
        threads: of onnxruntime.

    Raises:
        BundleError: onnxruntime can't read it, or it has other inputs than a language model.
    """

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        self._session: Any = open_session(model, threads, computes_int8=False)
        inputs = {value.name: value.shape for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]
        self._past = {name: shape for name, shape in inputs.items() if name.startswith(PAST)}
        if not {"input_ids", "attention_mask", "position_ids"} <= set(inputs) or "logits" not in self._outputs:
            raise BundleError(f"a language model was expected, and this one takes {', '.join(inputs)}")

    @property
    def has_cache(self) -> bool:
        """Whether it takes and gives keys and values."""
        return bool(self._past)

    def step(self, ids: Sequence[int], cache: Cache | None = None) -> tuple[FloatArray, Cache]:
        """Reads tokens behind those of the cache.

        Args:
            ids: T tokens, one at least.
            cache: of the step before; None begins.

        Returns:
            Logits after the last token, V, and the cache with these tokens; empty for a model without one.
        """
        if cache is None:
            cache = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in self._past.items()}
        num_past = next(iter(cache.values())).shape[2] if cache else 0
        total = num_past + len(ids)
        given = {
            "input_ids": np.array([list(ids)], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(num_past, total, dtype=np.int64)[None],
            **cache,
        }
        found = dict(zip(self._outputs, self._session.run(None, given), strict=True))
        logits_V: FloatArray = found.pop("logits")[0, -1]
        return logits_V, {PAST + name.removeprefix(PRESENT): value for name, value in found.items()}

    def next_logits(self, ids: Sequence[int]) -> FloatArray:
        """Logits after a text, V; everything is read."""
        return self.step(ids)[0]

    def write(self, ids: Sequence[int], *, end: int, max_new_tokens: int, uses_cache: bool = True) -> list[int]:
        """A greedy answer, with the token that ends it where it was reached.

        Args:
            ids: of the prompt.
            end: the token that ends an answer.
            max_new_tokens: longest answer.
            uses_cache: where there is one; False reads all tokens again in every step.
        """
        answer: list[int] = []
        logits_V, cache = self.step(ids)
        while True:
            answer.append(int(logits_V.argmax()))
            if answer[-1] == end or len(answer) >= max_new_tokens:
                return answer
            if uses_cache and self.has_cache:
                logits_V, cache = self.step(answer[-1:], cache)
            else:
                logits_V = self.next_logits([*ids, *answer])
