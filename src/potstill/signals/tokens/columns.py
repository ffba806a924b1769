"""Columns of bytes that compress well, and compressed planes one after the other. n tokens, K kept tokens."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.errors import MissingExtraError
from potstill.types import IntArray

Bytes = NDArray[np.uint8]
LEVEL = 12
# Ranks from here on take more than the one byte.
_ESCAPE = 255
_PLANE = struct.Struct("<II")


def rank(indices: NDArray[Any]) -> tuple[IntArray, IntArray]:
    """The distinct indices from the most frequent on, and each index as its place there.

    Most are kept as seldom as many others; those stand in order, so that their differences are small.
    """
    distinct, places, counts = np.unique(indices, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return distinct[order].astype(np.int64), ranks[places]


def split_ranks(ranks_Kn: IntArray) -> list[Bytes]:
    """Planes of ranks: for each column one byte a rank, then two for each of the large ones, then what is left."""
    beyond = [row[row >= _ESCAPE] - _ESCAPE for row in ranks_Kn]
    planes = [np.minimum(row, _ESCAPE).astype(np.uint8) for row in ranks_Kn]
    planes += [((rest >> shift) & 255).astype(np.uint8) for shift in (0, 8) for rest in beyond]
    return [*planes, (np.concatenate(beyond) >> 16).astype(np.uint8)]


def join_ranks(planes: Sequence[Bytes], num_columns: int) -> IntArray:
    """What `split_ranks` took apart, K x n."""
    ranks_Kn = np.stack(planes[:num_columns]).astype(np.int64)
    low, middle = (np.concatenate(planes[i * num_columns : (i + 1) * num_columns]) for i in (1, 2))
    beyond = low.astype(np.int64) | middle.astype(np.int64) << 8 | planes[-1].astype(np.int64) << 16
    ranks_Kn[ranks_Kn == _ESCAPE] = beyond + _ESCAPE
    return ranks_Kn


def split_words(values: NDArray[Any]) -> list[Bytes]:
    """Four byte planes, the lowest first; planes of zeros take nothing."""
    return list(np.ascontiguousarray(values.astype("<u4")).view(np.uint8).reshape(-1, 4).T)


def join_words(planes: Sequence[Bytes]) -> IntArray:
    """What `split_words` took apart."""
    return np.ascontiguousarray(np.stack(planes, 1)).view("<u4").ravel()


def compress(planes: Sequence[Bytes]) -> bytes:
    """Each plane by itself, so that each has a code of its own.

    Raises:
        MissingExtraError: zstandard is not installed.
    """
    writer = _zstandard().ZstdCompressor(level=LEVEL, write_content_size=False)
    parts = []
    for plane in planes:
        content = writer.compress(np.ascontiguousarray(plane).tobytes()) if plane.size else b""
        parts += [_PLANE.pack(len(content), plane.size), content]
    return b"".join(parts)


def decompress(content: bytes) -> Iterator[Bytes]:
    """The planes again.

    Raises:
        MissingExtraError: zstandard is not installed.
    """
    reader, at = _zstandard().ZstdDecompressor(), 0
    while at < len(content):
        length, size = _PLANE.unpack_from(content, at)
        at += _PLANE.size
        raw = reader.decompress(content[at : at + length], max_output_size=size) if size else b""
        yield np.frombuffer(raw, np.uint8)
        at += length


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError("zstandard", "lm") from error
    return zstandard
