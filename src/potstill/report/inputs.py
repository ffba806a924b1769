"""Inputs as they stand in a page: texts, pictures, sounds."""

from __future__ import annotations

import base64

from potstill.report.markup import escape
from potstill.report.pictures import data_uri
from potstill.runtime.media import sound_file
from potstill.types import Input

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
        wav = base64.b64encode(sound_file(value[: LONGEST_SOUND_S * sample_rate], sample_rate)).decode()
        return f'<audio controls preload="none" src="data:audio/wav;base64,{wav}"></audio>'
    return escape(f"{value.shape} {value.dtype}")
