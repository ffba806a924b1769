"""Token records as bytes: plain while they are written, in compressed columns once they are sealed.

n tokens with a signal, K kept tokens.

A plain row is one record by itself, for journals and for reading one sample. A shard turns all its rows into columns:
ids of kept tokens become ranks by how often they are kept (a table in the shard says which), in one byte or, for rare
ones, three; log-probabilities become steps of 1/16 nat below the one before. Ranks of one place in the order look
alike, and so do steps, so a column runs over all tokens of the shard, and each is compressed with zstd by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.errors import StoreError
from potstill.signals.tokens.columns import (
    Bytes,
    compress,
    decompress,
    join_ranks,
    join_words,
    rank,
    split_ranks,
    split_words,
)
from potstill.signals.tokens.format import TokenFormat
from potstill.signals.tokens.record import TokenRecord
from potstill.types import IntArray

# Of how rows become columns; a shard of another version is asked again.
COLUMNS_VERSION = 3
STEPS_A_NAT = 16
_HEAD = struct.Struct("<III")  # tokens, first token with a signal, bytes of text


@dataclass(frozen=True, slots=True)
class TokenCodec:
    """How token records of one format are written.

    Attributes:
        form: their format.
    """

    form: TokenFormat

    @property
    def row_bytes(self) -> None:
        """Records have no common size."""
        return

    def head(self) -> dict[str, Any]:
        """What a shard says of itself."""
        return {"tokens": self.form.to_json(), "columns": COLUMNS_VERSION, "steps_a_nat": STEPS_A_NAT}

    def encode(self, record: TokenRecord) -> bytes:
        """One plain row.

        Raises:
            StoreError: the record isn't of this format.
        """
        record.check(self.form)
        text = record.text.encode()
        parts = [
            _HEAD.pack(len(record.ids), record.first, len(text)),
            record.ids.astype("<u4").tobytes(),
            np.diff(record.ends, prepend=0).astype("<u4").tobytes(),
        ]
        if self.form.kind in ("top_k", "sampled"):
            indices_nK, steps_nK, tail_n = self._quantised(record)
            parts += [indices_nK.astype(self._index_type).tobytes(), steps_nK.tobytes(), tail_n.tobytes()]
        elif record.hidden is not None:
            parts.append(np.clip(record.hidden, -65_504, 65_504).astype("<f2").tobytes())
        return b"".join([*parts, text])

    def decode(self, row: bytes) -> TokenRecord:
        """The record of a plain row; log-probabilities are normalised again after rounding."""
        num_tokens, first, _ = _HEAD.unpack_from(row)
        fields = self._fields(row)
        n = num_tokens - first
        signals: dict[str, Any] = {}
        if self.form.kind in ("top_k", "sampled"):
            indices_nK = fields["indices"].reshape(n, self.form.width).astype(np.int64)
            empty = 65_535 if self._index_type == "<u2" else 2**32 - 1
            indices_nK = np.where(indices_nK == empty, -1, indices_nK).astype(np.int32)
            signals = self._restored(indices_nK, fields["steps"].reshape(n, self.form.width), fields["tail"])
        elif self.form.kind == "hidden":
            signals = {"hidden": fields["hidden"].view("<f2").reshape(n, self.form.width).astype(np.float32)}
        return TokenRecord(
            ids=fields["ids"].astype(np.int32),
            ends=np.cumsum(fields["spans"], dtype=np.int64),
            first=first,
            text=fields["text"].tobytes().decode(),
            **signals,
        )

    def pack(self, rows: Sequence[bytes]) -> bytes:
        """Rows of a shard as compressed columns."""
        all_fields = [self._fields(row) for row in rows]
        heads = np.array([_HEAD.unpack_from(row) for row in rows], "<u4").reshape(-1, 3)
        planes = [heads[:, i].astype("<u4").view(np.uint8) for i in range(3)]
        if all_fields:
            joined = {name: np.concatenate([f[name] for f in all_fields]) for name in all_fields[0]}
            planes += [*split_words(joined["ids"]), *split_words(joined["spans"]), joined["text"].view(np.uint8)]
            if self.form.kind in ("top_k", "sampled"):
                table, ranks = rank(joined["indices"])
                columns_Kn = [part.reshape(-1, self.form.width).T for part in (ranks, joined["steps"])]
                planes += [*split_words(np.diff(table, prepend=0)), joined["tail"]]
                planes += [*columns_Kn[1], *split_ranks(columns_Kn[0])]
            elif self.form.kind == "hidden":
                # Sign and exponent of a state repeat, its mantissa doesn't.
                planes += list(joined["hidden"].view(np.uint8).reshape(-1, 2).T)
        return compress(planes)

    def unpack(self, content: bytes, num_rows: int) -> list[bytes]:
        """The plain rows of a shard.

        Raises:
            StoreError: not what `pack` made.
        """
        planes = list(decompress(content))
        heads = np.stack([planes[i].view("<u4") for i in range(3)], 1).astype(np.int64)
        if len(heads) != num_rows:
            raise StoreError(f"a shard of {num_rows} records holds {len(heads)}")
        if not num_rows:
            return []
        num_signals = heads[:, 0] - heads[:, 1]
        ids, spans, text, planes = join_words(planes[3:7]), join_words(planes[7:11]), planes[11], planes[12:]
        columns = [(ids, heads[:, 0]), (spans, heads[:, 0])]
        width = self.form.width
        if self.form.kind in ("top_k", "sampled"):
            table = np.cumsum(join_words(planes[:4]), dtype=np.uint32)
            ranks_Kn = join_ranks(planes[5 + width :], width)
            columns.append((table[ranks_Kn.T.ravel()].astype(self._index_type), num_signals * width))
            columns.append((np.stack(planes[5 : 5 + width], 1).ravel(), num_signals * width))
            columns.append((planes[4], num_signals))
        elif self.form.kind == "hidden":
            states = np.stack(planes[:2], 1).ravel().view("<u2")
            columns.append((states, num_signals * width))
        columns.append((text, heads[:, 2]))
        parts = [np.split(values, np.cumsum(counts)[:-1]) for values, counts in columns]
        return [
            b"".join([_HEAD.pack(*head.tolist()), *(np.ascontiguousarray(part[i]).tobytes() for part in parts)])
            for i, head in enumerate(heads)
        ]

    @property
    def _index_type(self) -> str:
        return "<u2" if self.form.vocabulary_size <= 65_535 else "<u4"

    def _fields(self, row: bytes) -> dict[str, NDArray[Any]]:
        """The arrays of a plain row, flat."""
        num_tokens, first, num_text = _HEAD.unpack_from(row)
        n, width = num_tokens - first, self.form.width
        sizes = [("ids", "<u4", num_tokens), ("spans", "<u4", num_tokens)]
        if self.form.kind in ("top_k", "sampled"):
            sizes += [("indices", self._index_type, n * width), ("steps", "u1", n * width), ("tail", "u1", n)]
        elif self.form.kind == "hidden":
            sizes.append(("hidden", "<u2", n * width))
        sizes.append(("text", "u1", num_text))
        fields, at = {}, _HEAD.size
        for name, kind, count in sizes:
            fields[name] = np.frombuffer(row, kind, count, at)
            at += fields[name].nbytes
        return fields

    def _quantised(self, record: TokenRecord) -> tuple[IntArray, Bytes, Bytes]:
        """Indices from the most probable on; steps below the one before, or counts of draws; steps of the tail."""
        assert record.indices is not None and record.logprobs is not None, "checked before"
        logprobs_nK = np.where(record.indices < 0, -np.inf, record.logprobs.astype(np.float64))
        order = np.argsort(-logprobs_nK, axis=1, kind="stable")
        indices_nK = np.take_along_axis(record.indices, order, 1)
        logprobs_nK = np.take_along_axis(logprobs_nK, order, 1)
        if self.form.kind == "sampled":
            # Counts are exact, or the mean over draws would not be the distribution any more.
            counts_nK = np.rint(np.exp(logprobs_nK) * self.form.width).astype(np.uint8)
            return indices_nK, counts_nK, np.zeros(len(indices_nK), np.uint8)
        levels_nK = np.rint(np.minimum(-logprobs_nK * STEPS_A_NAT, 1e6)).astype(np.int64)
        steps_nK = np.clip(np.diff(levels_nK, axis=1, prepend=0), 0, 255).astype(np.uint8)
        assert record.tail is not None, "checked before"
        tail_n = np.clip(np.rint(-record.tail.astype(np.float64) * STEPS_A_NAT), 0, 255).astype(np.uint8)
        return indices_nK, steps_nK, tail_n

    def _restored(self, indices_nK: IntArray, steps_nK: Bytes, tail_n: Bytes) -> dict[str, Any]:
        if self.form.kind == "sampled":
            with np.errstate(divide="ignore"):
                logprobs_nK = np.log(steps_nK / self.form.width)
            return {"indices": indices_nK, "logprobs": logprobs_nK.astype(np.float32)}
        logprobs_nK = -np.cumsum(steps_nK, axis=1, dtype=np.float64) / STEPS_A_NAT
        tail_n1 = -tail_n.astype(np.float64)[:, None] / STEPS_A_NAT
        log_total_n1 = np.log(np.exp(np.concatenate([logprobs_nK, tail_n1], 1)).sum(1, keepdims=True))
        return {
            "indices": indices_nK,
            "logprobs": (logprobs_nK - log_total_n1).astype(np.float32),
            "tail": (tail_n1 - log_total_n1)[:, 0].astype(np.float32),
        }
