"""Picture files as arrays. Shapes: H height, W width."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from potstill.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
# Small models see no more, and a folder of photographs has to fit into memory.
WORKING_SIDE = 256
# A file of a few kilobytes can claim any size; this is more than cameras make.
MAX_PIXELS = 120_000_000


def read_picture(source: bytes | Path, *, side: int = WORKING_SIDE) -> NDArray[np.uint8]:
    """One picture as it is meant to be seen: upright, in RGB, on white where it is transparent.

    Args:
        source: the bytes of a file, or where it lies.
        side: the longer side is made this long where it is longer.

    Returns:
        uint8, H x W x 3.

    Raises:
        DataError: truncated, animated, too large, or no picture at all; the message says which.
        MissingExtraError: without Pillow.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("pillow", "images") from error
    try:
        with warnings.catch_warnings():
            # Sizes are judged here, and notes about odd metadata concern nobody.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
                _check(picture)
                picture.draft("RGB", (side, side))
                upright = ImageOps.exif_transpose(picture)
                return np.asarray(_small(_as_rgb(upright), side), np.uint8)
    except DataError:
        raise
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ValueError
        raise DataError(f"no whole picture that can be read ({_reason(error)})") from error


def resized(picture_HW3: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The picture in another size (bilinear, smoothed where it shrinks).

    Raises:
        MissingExtraError: without Pillow.
    """
    if picture_HW3.shape[:2] == (height, width):
        return picture_HW3
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("pillow", "images") from error
    image = Image.fromarray(np.ascontiguousarray(picture_HW3))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.uint8)


def _check(picture: Image) -> None:
    """What can be said before a pixel is decoded."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise DataError(f"{width} x {height} pixels, more than {MAX_PIXELS:,}; scale it down")
    if getattr(picture, "n_frames", 1) > 1:
        raise DataError(f"animated, {getattr(picture, 'n_frames', 1)} frames; save the one that is meant")


def _as_rgb(picture: Image) -> Image:
    from PIL import Image

    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(picture))).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit and float pictures on 0..255; Pillow would cut everything above 255."""
    numbers = np.nan_to_num(values.astype(np.float64))
    top = float(numbers.max(initial=0.0))
    scale = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
    shades: NDArray[np.uint8] = np.clip(np.rint(numbers / scale * 255), 0, 255).astype(np.uint8)
    return shades


def _small(picture: Image, side: int) -> Image:
    from PIL import Image

    longest = max(picture.size)
    if longest <= side:
        return picture
    width, height = (max(1, round(length * side / longest)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "an unknown format" if text.startswith("cannot identify") else text[:120]
