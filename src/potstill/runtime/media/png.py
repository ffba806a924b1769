"""Arrays as PNG files without a library (PNG, W3C Recommendation, third edition). H height, W width."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def stretched(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """The values of an array on 0..255, its smallest at 0 and its largest at 255; a flat one is black."""
    values = np.asarray(picture, np.float64)
    low, high = float(values.min()), float(values.max())
    return np.zeros(values.shape, np.uint8) if high == low else ((values - low) / (high - low) * 255).astype(np.uint8)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An 8-bit PNG of a grey (H x W) or colour (H x W x 3) array."""
    height, width = pixels.shape[:2]
    colour_type = 0 if pixels.ndim == 2 else 2
    rows = b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
