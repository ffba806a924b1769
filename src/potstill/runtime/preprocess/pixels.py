"""Pictures as arrays of one size. Shapes: B batch, H height, W width, c channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from potstill.errors import DataError
from potstill.runtime.media import resized
from potstill.runtime.preprocess.base import Entry
from potstill.types import Input


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Pixels:
    """Brings pictures to one size and scales them: (value / scale - mean) / std.

    Colour pictures of another size are resized; grey arrays must have the size, since nobody knows what they are.

    Attributes:
        height: pixels.
        width: pixels.
        channels: 1 for grey (H x W arrays), 3 for colour (H x W x 3).
        scale: the largest value that a pixel can have.
        mean: of the scaled values, one a channel.
        std: of the scaled values, one a channel.
    """

    height: int
    width: int
    channels: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: Literal["pixels"] = "pixels"

    def encode(self, inputs: Sequence[Input]) -> list[NDArray[Any]]:
        """Pictures as they came, in the model's size, H x W x c; a quarter of the memory of what `batch` makes."""
        return [self._encode(value, position) for position, value in enumerate(inputs)]

    def length(self, encoded: NDArray[Any]) -> int:
        """All pictures are alike."""
        return 1

    def batch(self, encoded: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """`pixels`: float32, B x c x H x W."""
        pixels_BHWc = np.stack(list(encoded)).astype(np.float32) / np.float32(self.scale)
        scaled = (pixels_BHWc - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return {"pixels": np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)}

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "kind": self.kind,
            "height": self.height,
            "width": self.width,
            "channels": self.channels,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def save(self, folder: Path) -> dict[str, Any]:
        """Needs no file."""
        return self.to_json()

    @classmethod
    def from_entry(cls, entry: Entry, files: dict[str, bytes]) -> Pixels:
        """Reads what `save` returned."""
        return cls(
            height=int(entry["height"]),
            width=int(entry["width"]),
            channels=int(entry["channels"]),
            scale=float(entry["scale"]),
            mean=tuple(map(float, entry["mean"])),
            std=tuple(map(float, entry["std"])),
        )

    def _encode(self, value: Input, position: int) -> NDArray[Any]:
        size = (self.height, self.width)
        if isinstance(value, str):
            raise DataError(f"input {position} is a text; this model reads pictures")
        if self.channels == 3 and value.ndim == 3 and value.shape[2] == 3 and value.dtype == np.uint8:
            return resized(value, *size)
        shape = size if self.channels == 1 else (*size, self.channels)
        if value.shape != shape:
            raise DataError(
                f"input {position} is an array of shape {value.shape}; this model reads pictures of shape {shape}"
            )
        return value.reshape(*size, self.channels)
