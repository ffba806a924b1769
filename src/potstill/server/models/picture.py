"""A picture that came in a message."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from potstill.server.errors import invalid
from potstill.server.remote_pictures import RemotePictures
from potstill.server.training_files.pictures import is_remote, url_of


async def picture_bytes(image_url: Any, pictures: RemotePictures) -> bytes:
    """The file in the `image_url` of a message, or behind it where the administrator allows that.

    Raises:
        ApiError: 400: there is none.
    """
    url = url_of(image_url)
    if is_remote(url) and pictures.hosts:
        found = await pictures.fetch(url)
        if found.reason:
            raise invalid(f"The picture can't be used: {found.reason}.", "messages", "invalid_image_url")
        return found.content
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise invalid(
            "This student reads a picture as a data URL (data:image/png;base64,...).", "messages", "invalid_image_url"
        )
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("The data URL of the picture is no base64.", "messages", "invalid_image_url") from None
