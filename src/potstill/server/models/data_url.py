"""A picture that came in a message."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from potstill.server.errors import invalid


def picture_bytes(image_url: Any) -> bytes:
    """The file in the `image_url` of a message.

    Raises:
        ApiError: 400: it is no data URL.
    """
    url = image_url.get("url") if isinstance(image_url, dict) else image_url
    head, comma, data = (url if isinstance(url, str) else "").partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise invalid(
            "This student reads a picture as a data URL (data:image/png;base64,...).", "messages", "invalid_image_url"
        )
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("The data URL of the picture is no base64.", "messages", "invalid_image_url") from None
