"""What a view may do to a picture or a sound beyond moving it. H height, W width, S samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from potstill.errors import MissingExtraError
from potstill.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

NUM_OPERATIONS = 2


def recoloured(picture: NDArray[Any], random: np.random.Generator) -> NDArray[Any]:
    """Brightness, contrast and (of colour pictures) saturation, each by up to 30 %."""
    brightness, contrast, saturation = random.uniform(0.7, 1.3, 3)
    values = picture.astype(np.float32)
    top = 255.0 if picture.dtype == np.uint8 else float(values.max(initial=1.0))
    if values.ndim == 3:
        grey = values.mean(2, keepdims=True)
        values = grey + (values - grey) * saturation
    middle = values.mean()
    values = np.clip((middle + (values - middle) * contrast) * brightness, 0, top)
    whole = np.issubdtype(picture.dtype, np.integer)
    changed: NDArray[Any] = values.round().astype(picture.dtype) if whole else values
    return changed


def rand_augmented(picture_HW3: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Two operations in turn, drawn with their strengths (Cubuk et al. 2020, arXiv 1909.13719).

    Raises:
        MissingExtraError: without Pillow.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("pillow", "images") from error
    image = Image.fromarray(np.ascontiguousarray(picture_HW3))
    operations = _operations()
    for chosen in random.integers(0, len(operations), NUM_OPERATIONS):
        # From nothing to what still leaves a picture to be recognised, towards either side.
        image = operations[chosen](image, float(random.uniform(-1, 1)))
    return np.asarray(image, np.uint8)


def _operations() -> list[Callable[[Image, float], Image]]:
    """Operation of a picture and a strength in -1..1."""
    from PIL import Image as Pillow
    from PIL import ImageEnhance, ImageOps

    def moved(a: float, b: float, c: float, d: float) -> Callable[[Image, float], Image]:
        """Shear and shift; the last two in shares of the width and height."""

        def move(image: Image, s: float) -> Image:
            matrix = (1, a * s, c * s * image.width, b * s, 1, d * s * image.height)
            return image.transform(
                image.size, Pillow.Transform.AFFINE, matrix, Pillow.Resampling.BILINEAR, fillcolor=_grey(image)
            )

        return move

    def enhanced(kind: Any) -> Callable[[Image, float], Image]:
        def enhance(image: Image, s: float) -> Image:
            changed: Image = kind(image).enhance(1 + 0.8 * s)
            return changed

        return enhance

    return [
        lambda image, s: image,
        lambda image, s: ImageOps.autocontrast(image),
        lambda image, s: ImageOps.equalize(image),
        lambda image, s: image.rotate(25 * s, Pillow.Resampling.BILINEAR, fillcolor=_grey(image)),
        lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s))),
        lambda image, s: ImageOps.solarize(image, round(256 - 128 * abs(s))),
        enhanced(ImageEnhance.Color),
        enhanced(ImageEnhance.Contrast),
        enhanced(ImageEnhance.Brightness),
        enhanced(ImageEnhance.Sharpness),
        moved(0.3, 0, 0, 0),
        moved(0, 0.3, 0, 0),
        moved(0, 0, 0.25, 0),
        moved(0, 0, 0, 0.25),
    ]


def _grey(image: Image) -> Any:
    """What lies outside of a picture that was moved."""
    return 128 if image.mode == "L" else (128,) * len(image.getbands())


def masked_sound(samples_S: FloatArray, random: np.random.Generator) -> FloatArray:
    """A stretch of time and a band of frequencies silenced, a fifth of each at most.

    SpecAugment (Park et al. 2019, arXiv 1904.08779) on the samples themselves, so that a teacher with another
    spectrogram hears the same.
    """
    changed = samples_S.copy()
    length = int(random.uniform(0, 0.2) * len(changed))
    start = int(random.integers(0, len(changed) - length + 1))
    changed[start : start + length] = 0.0
    spectrum_F = np.fft.rfft(changed)
    # Even in octaves, as ears and mel bands are.
    low = len(spectrum_F) * 2.0 ** random.uniform(-5, -0.3)
    spectrum_F[int(low) : int(low * 2.0 ** random.uniform(0, 0.5))] = 0.0
    masked: FloatArray = np.fft.irfft(spectrum_F, len(changed)).astype(np.float32)
    return masked


def blended(value: NDArray[Any], other: NDArray[Any], share: float, *, cut: bool, random: np.random.Generator) -> Any:
    """Two inputs of one shape in one.

    Args:
        value: picture or sound.
        other: the one that is mixed in.
        share: of `value` in the result.
        cut: a part of `other` is pasted in (CutMix, arXiv 1905.04899) instead of shining through everywhere (mixup,
            arXiv 1710.09412).
        random: places the part.

    Returns:
        The mixture, and the share that `value` has of it (with `cut` the part is rounded to whole pixels).
    """
    if not cut:
        mixture = share * value.astype(np.float32) + (1 - share) * other.astype(np.float32)
        whole = np.issubdtype(value.dtype, np.integer)
        return (mixture.round() if whole else mixture).astype(value.dtype), share
    sides = value.shape[:1] if value.ndim == 1 else value.shape[:2]
    scale = (1 - share) ** (1 / len(sides))
    place, area = [], 1.0
    for side in sides:
        length = round(scale * side)
        start = int(random.integers(0, side - length + 1))
        place.append(slice(start, start + length))
        area *= length / side
    mixture = value.copy()
    mixture[tuple(place)] = other[tuple(place)]
    return mixture, 1 - area


def fitted(other: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The input in another's shape: sounds are cut or filled up with silence; None for pictures of another form.

    Raises:
        MissingExtraError: without Pillow, for pictures.
    """
    if other.shape == shape:
        return other
    if other.ndim != len(shape) or other.shape[2:] != shape[2:]:
        return None
    if other.ndim == 1:
        return np.pad(other[: shape[0]], (0, max(0, shape[0] - len(other))))
    from potstill.runtime.media import resized

    return resized(other, shape[0], shape[1])
