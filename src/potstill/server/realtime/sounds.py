"""Sound as clients send it, as a student hears it. Shape: S samples."""

from __future__ import annotations

import base64
import binascii
from typing import Any, final

import numpy as np

from potstill.errors import MissingExtraError
from potstill.server.errors import invalid
from potstill.types import FloatArray

RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
"""Samples a second of each format; PCM has 16 bits, the lower byte first, the others 8 (ITU-T G.711)."""


def decode_samples(audio: str, kind: str) -> FloatArray:
    """Base64 as samples in [-1, 1].

    Raises:
        ApiError: 400: no base64, or half a sample at the end.
    """
    try:
        content = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"'audio' is no base64: {error}.", "audio", "invalid_audio") from None
    if kind == "audio/pcm":
        if len(content) % 2:
            raise invalid("'audio' ends with half a sample; one has 16 bits.", "audio", "invalid_audio")
        return np.frombuffer(content, "<i2").astype(np.float32) / 32768
    table = MU_LAW if kind == "audio/pcmu" else A_LAW
    return table[np.frombuffer(content, np.uint8)]


@final
class Resampler:
    """From the rate of the client to that of the student, whatever the chunks are."""

    def __init__(self, rate: int, wanted: int) -> None:
        self._rate, self._wanted = rate, wanted
        self._stream: Any = None
        if rate != wanted:
            try:
                import soxr
            except ImportError as error:
                raise MissingExtraError("soxr", "audio") from error
            self._stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32")

    def feed(self, samples_S: FloatArray, *, is_last: bool = False) -> FloatArray:
        """The next samples at the other rate; some stay inside until the last."""
        if self._stream is None:
            return samples_S
        found: FloatArray = self._stream.resample_chunk(samples_S, last=is_last)
        if is_last:
            self._stream.clear()
        return found


def _mu_law() -> FloatArray:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    return (np.where(code & 128, -magnitude, magnitude) / 32768).astype(np.float32)


def _a_law() -> FloatArray:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 264) << np.maximum(exponent - 1, 0))
    return (np.where(code & 128, magnitude, -magnitude) / 32768).astype(np.float32)


MU_LAW, A_LAW = _mu_law(), _a_law()
