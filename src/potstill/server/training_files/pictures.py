"""Pictures in training lines and requests: data URLs of JPEG, PNG and WEBP."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from potstill.errors import DataError
from potstill.runtime.media import read_picture
from potstill.types import Input

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


def read_image(value: Any) -> Image:
    """The bytes behind an `image_url`; they are looked at, and not decoded."""
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        return Image(reason="invalid image format")
    if url.lower().startswith(("http:", "https:")):
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
    if not content.startswith(STARTS):
        return Image(reason="invalid image format")
    return Image(reason="image too large") if len(content) > MAX_BYTES else Image(content)


def decode_image(value: Any) -> Input:
    """The picture behind an `image_url`, uint8, H x W x 3.

    Raises:
        DataError: it can't be had.
    """
    found = read_image(value)
    if found.reason:
        raise DataError(f"the image can't be used: {found.reason}. Send JPEG, PNG or WEBP as a data URL")
    return read_picture(found.content)
