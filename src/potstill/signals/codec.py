"""Logits as bytes: fp16 of all classes, or of the largest with the mass of the rest. N rows, C logits, K kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from potstill.errors import StoreError
from potstill.types import FloatArray, LabelSchema

# Beyond this many classes only the largest logits are kept; the rest of the mass is spread evenly on reading.
DENSE_LIMIT = 1000
TOP_K = 64
_LARGEST = 60_000.0


class RowCodec(Protocol):
    """How the store writes rows: one by one in journals, all together in shards."""

    @property
    def row_bytes(self) -> int | None:
        """Bytes of one row, None where rows differ."""
        ...

    def head(self) -> dict[str, Any]:
        """What a shard says of its rows."""
        ...

    def pack(self, rows: Sequence[bytes]) -> bytes:
        """Rows of a shard."""
        ...

    def unpack(self, content: bytes, num_rows: int) -> Sequence[bytes]:
        """The rows again.

        Raises:
            StoreError: these are not that many rows.
        """
        ...


@dataclass(frozen=True, slots=True)
class Codec:
    """How one row is written.

    Attributes:
        num_logits: C.
        top_k: number of logits kept, 0 for all of them.
    """

    num_logits: int
    top_k: int

    @classmethod
    def of(cls, schema: LabelSchema) -> Codec:
        """Dense up to 1,000 classes, and wherever a row is more than one softmax."""
        is_softmax = len(schema.fields) == 1 and not schema.fields[0].multi
        return cls(schema.num_logits, TOP_K if is_softmax and schema.num_logits > DENSE_LIMIT else 0)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return 2 * self.num_logits if self.top_k == 0 else 6 * self.top_k + 2

    def head(self) -> dict[str, Any]:
        """Number of logits, and how many of them are kept."""
        return {"num_logits": self.num_logits, "top_k": self.top_k}

    def pack(self, rows: Sequence[bytes]) -> bytes:
        """One after the other."""
        return b"".join(rows)

    def unpack(self, content: bytes, num_rows: int) -> Sequence[bytes]:
        """Pieces of one size."""
        if len(content) != num_rows * self.row_bytes:
            raise StoreError(f"{num_rows} rows of {self.row_bytes} bytes were expected, and {len(content)} bytes came")
        return [content[i : i + self.row_bytes] for i in range(0, len(content), self.row_bytes)]

    def encode(self, logits_NC: FloatArray) -> bytes:
        """Rows one after the other.

        Single rows are moved by a constant so that the largest logit fits fp16; softmax doesn't see it.
        """
        if self.top_k == 0:
            return np.clip(logits_NC, -_LARGEST, _LARGEST).astype("<f2").tobytes()
        top_NK = np.argsort(-logits_NC, axis=1, kind="stable")[:, : self.top_k]
        highest = logits_NC.max(1, keepdims=True)
        exponents = np.exp((logits_NC - highest).astype(np.float64))
        log_total = np.log(exponents.sum(1, keepdims=True))
        logprobs_NK = np.take_along_axis(logits_NC - highest, top_NK, axis=1) - log_total
        tail = 1 - np.exp(logprobs_NK).sum(1)
        rows = np.empty(len(logits_NC), self._row_type())
        rows["index"], rows["logprob"] = top_NK, logprobs_NK
        rows["tail"] = np.clip(tail, 0, 1)
        return rows.tobytes()

    def decode(self, content: bytes) -> FloatArray:
        """Float32 logits, N x C."""
        if self.top_k == 0:
            return np.frombuffer(content, "<f2").reshape(-1, self.num_logits).astype(np.float32)
        rows = np.frombuffer(content, self._row_type())
        rest = rows["tail"].astype(np.float64) / (self.num_logits - self.top_k)
        logits_NC = np.repeat(np.log(np.maximum(rest, 1e-12))[:, None], self.num_logits, axis=1).astype(np.float32)
        np.put_along_axis(logits_NC, rows["index"].astype(np.int64), rows["logprob"].astype(np.float32), axis=1)
        return logits_NC

    def _row_type(self) -> np.dtype[np.void]:
        return np.dtype([("index", "<u4", self.top_k), ("logprob", "<f2", self.top_k), ("tail", "<f2")])
