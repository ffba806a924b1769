"""Pictures in training lines and requests: JPEG, PNG and WEBP, in data URLs."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_IMAGES = 10
MAX_BYTES = 10 * 1024**2
DATA_URL = re.compile(r"data:image/(jpeg|jpg|png|webp);base64,", re.IGNORECASE)
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedImage:
    """A picture that is left out of training.

    Attributes:
        line: number of the example, from 1.
        index: which of its pictures, from 0.
        reason: why, in OpenAI's words where it has them.
    """

    line: int
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Image:
    """The bytes of a picture, or the reason why there are none."""

    content: bytes = b""
    reason: str = ""


Reader = Callable[[Any], Image]
"""From an `image_url` to a picture."""


def read_image(value: Any) -> Image:
    """The bytes in an `image_url`; they are looked at, and not decoded. Nothing is fetched."""
    url = url_of(value)
    if is_remote(url):
        return Image(reason="inaccessible URL")
    head = DATA_URL.match(url)
    if head is None:
        return Image(reason="invalid image format")
    if len(url) > MAX_BYTES * 4 // 3 + 100:
        return Image(reason="image too large")
    try:
        content = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        return Image(reason="invalid image format")
    return checked_image(content)


def checked_image(content: bytes) -> Image:
    """A file, if its first bytes and its size are those of a picture that is taken."""
    if not content.startswith(STARTS):
        return Image(reason="invalid image format")
    return Image(reason="image too large") if len(content) > MAX_BYTES else Image(content)


def url_of(value: Any) -> str:
    """The address in an `image_url`; empty where there is none."""
    url = value.get("url") if isinstance(value, dict) else value
    return url if isinstance(url, str) else ""


def is_remote(url: str) -> bool:
    """Whether somebody would have to fetch it."""
    return url.lower().startswith(("http:", "https:"))
