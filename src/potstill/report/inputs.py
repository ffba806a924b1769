"""Inputs as they stand in a page: texts, pictures, sounds."""

from __future__ import annotations

import base64
import io
import wave

import numpy as np

from potstill.report.markup import escape
from potstill.report.pictures import data_uri
from potstill.types import FloatArray, Input

LONGEST_TEXT = 400
LONGEST_SOUND_S = 3


def shown(value: Input, sample_rate: int = 0) -> str:
    """An input as HTML.

    Args:
        value: a text, a picture (H x W or H x W x 3) or a sound.
        sample_rate: of sounds, in Hz; 0 shows their length alone.
    """
    if isinstance(value, str):
        return escape(value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…")
    if value.ndim in (2, 3):
        return f'<img src="{data_uri(value)}" alt="" width="48">'
    if value.ndim == 1 and sample_rate:
        return (
            f'<audio controls preload="none" src="{_wav(value[: LONGEST_SOUND_S * sample_rate], sample_rate)}"></audio>'
        )
    return escape(f"{value.shape} {value.dtype}")


def _wav(samples_S: FloatArray, sample_rate: int) -> str:
    """A 16-bit WAV as a `data:` address."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((np.clip(samples_S, -1, 1) * 32767).astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
