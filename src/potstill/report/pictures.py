"""Arrays as tiny PNG pictures inside the page (PNG, W3C Recommendation, third edition)."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def data_uri(array: NDArray[np.generic]) -> str:
    """A grey (H x W) or colour (H x W x 3) array as a `data:` address; values are stretched to 0..255."""
    values = np.asarray(array, np.float64)
    low, high = float(values.min()), float(values.max())
    pixels = np.zeros(values.shape, np.uint8) if high == low else ((values - low) / (high - low) * 255).astype(np.uint8)
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An 8-bit PNG of a grey or colour array."""
    height, width = pixels.shape[:2]
    colour_type = 0 if pixels.ndim == 2 else 2
    rows = b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
