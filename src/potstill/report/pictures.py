"""Arrays as tiny pictures inside the page."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from potstill.runtime.media import png, stretched


def data_uri(array: NDArray[np.generic]) -> str:
    """A grey (H x W) or colour (H x W x 3) array as a `data:` address; values are stretched to 0..255."""
    return "data:image/png;base64," + base64.b64encode(png(stretched(array))).decode()
