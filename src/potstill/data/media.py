"""Cells that hold a picture or a sound, in any of the forms that files and libraries give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.errors import DataError
from potstill.runtime.media import read_picture, read_sound, sound_rate
from potstill.runtime.media.sounds import resampled
from potstill.types import Input

# Telephone speech has 8,000 samples a second, most models of speech take 16,000; more is for music.
HIGHEST_RATE = 16_000
SAMPLE = 200


def decode_pictures(cells: Sequence[Any], folder: Path) -> tuple[list[Input | None], dict[int, str]]:
    """Every cell as a picture (uint8, H x W x 3), None where that failed, and why by position.

    Args:
        cells: paths, bytes, {"bytes": ..., "path": ...}, Pillow images, or arrays, which stay as they are.
        folder: that relative paths start from.
    """
    return _decode(cells, lambda cell: _picture(cell, folder))


def decode_sounds(cells: Sequence[Any], folder: Path, rate: int) -> tuple[list[Input | None], dict[int, str]]:
    """Every cell as a sound (float32 samples at `rate`), None where that failed, and why by position.

    Args:
        cells: paths, bytes, {"bytes": ..., "path": ...}, {"array": ..., "sampling_rate": ...}, or arrays of samples at
            `rate`.
        folder: that relative paths start from.
        rate: samples a second.
    """
    return _decode(cells, lambda cell: _sound(cell, folder, rate))


def usual_rate(cells: Sequence[Any], folder: Path) -> int:
    """The commonest rate of the first sounds, at most `HIGHEST_RATE`."""
    rates = Counter(rate for cell in cells[:SAMPLE] if (rate := _rate_of(cell, folder)) > 0)
    found = min(rates, key=lambda rate: (-rates[rate], rate), default=HIGHEST_RATE)
    return min(found, HIGHEST_RATE)


def _decode(cells: Sequence[Any], read: Callable[[Any], Input]) -> tuple[list[Input | None], dict[int, str]]:
    found: list[Input | None] = []
    reasons: dict[int, str] = {}
    for position, cell in enumerate(cells):
        try:
            found.append(read(cell))
        except DataError as error:
            found.append(None)
            reasons[position] = str(error)
    return found, reasons


def _picture(cell: Any, folder: Path) -> Input:
    if isinstance(cell, np.ndarray):
        return _checked(cell)
    if hasattr(cell, "getexif") and hasattr(cell, "convert"):
        return _reencoded(cell)
    return read_picture(_source(cell, folder))


def _sound(cell: Any, folder: Path, rate: int) -> Input:
    if isinstance(cell, Mapping) and cell.get("array") is not None:
        samples = np.asarray(cell["array"], np.float32)
        return resampled(_mono(samples), int(cell.get("sampling_rate") or rate), rate)
    if isinstance(cell, np.ndarray):
        return _mono(cell.astype(np.float32))
    return read_sound(_source(cell, folder), rate)


def _source(cell: Any, folder: Path) -> bytes | Path:
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes | bytearray | memoryview) and len(cell):
        return bytes(cell)
    if isinstance(cell, str) and cell.strip():
        path = folder / cell
        if not path.is_file():
            raise DataError(f"there is no file {path}")
        return path
    raise DataError("empty")


def _checked(array: NDArray[Any]) -> Input:
    if array.size == 0 or array.ndim not in (2, 3):
        raise DataError(f"an array of shape {array.shape}; a picture has two axes, or three with its colours")
    return array


def _mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    if samples.ndim == 2:
        samples = samples.mean(int(np.argmin(samples.shape)), dtype=np.float32)
    if samples.ndim != 1 or samples.size == 0 or not np.isfinite(samples).all():
        raise DataError(f"an array of shape {samples.shape}; a sound is one axis of samples that are numbers")
    return samples


def _reencoded(image: Any) -> Input:
    """A Pillow image of the `datasets` library goes the way of a file, so that equal pictures are equal arrays."""
    import io

    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=image.getexif())
    return read_picture(buffer.getvalue())


def _rate_of(cell: Any, folder: Path) -> int:
    if isinstance(cell, Mapping) and cell.get("sampling_rate"):
        return int(cell["sampling_rate"])
    try:
        return sound_rate(_source(cell, folder))
    except DataError:
        return 0
