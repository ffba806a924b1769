"""Texts, pictures and sounds as the content of a chat message."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from potstill.runtime.media import png, sound_file, stretched
from potstill.types import Input

# Of a small picture: the base and one tile. Servers count otherwise, and say how much in their replies.
TOKENS_OF_A_PICTURE = 255
TOKENS_OF_A_SECOND = 10


def name_of(value: Input) -> str:
    """What the user is said to send."""
    if isinstance(value, str):
        return "text"
    return "sound" if value.ndim == 1 else "picture"


def content_of(value: Input, sample_rate: int) -> Any:
    """A text as it is, a picture as a PNG in a `data:` address, a sound as WAV."""
    if isinstance(value, str):
        return value
    if value.ndim == 1:
        sound = base64.b64encode(sound_file(value, sample_rate)).decode()
        return [{"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}]
    pixels = value if value.dtype == np.uint8 else stretched(value)
    address = "data:image/png;base64," + base64.b64encode(png(pixels)).decode()
    return [{"type": "image_url", "image_url": {"url": address, "detail": "low"}}]


def expected_input_tokens(value: Input, sample_rate: int, characters_per_token: int) -> int:
    """Tokens of the content, about."""
    if isinstance(value, str):
        return len(value) // characters_per_token
    return TOKENS_OF_A_PICTURE if value.ndim > 1 else TOKENS_OF_A_SECOND * -(-len(value) // sample_rate)
