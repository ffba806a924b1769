"""Small pictures as arrays. Shapes: B batch, H height, W width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from potstill.errors import DataError
from potstill.runtime.preprocess.base import Entry
from potstill.types import FloatArray, Input


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Pixels:
    """Scales pictures of one size: (value / scale - mean) / std.

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

    def encode(self, inputs: Sequence[Input]) -> list[FloatArray]:
        """Float32 pictures, channels first."""
        return [self._encode(value, position) for position, value in enumerate(inputs)]

    def length(self, encoded: FloatArray) -> int:
        """All pictures are alike."""
        return 1

    def batch(self, encoded: Sequence[FloatArray]) -> dict[str, NDArray[Any]]:
        """`pixels`: float32, B x channels x H x W."""
        return {"pixels": np.stack(list(encoded))}

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

    def _encode(self, value: Input, position: int) -> FloatArray:
        shape = (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)
        if isinstance(value, str) or value.shape != shape:
            came = "a text" if isinstance(value, str) else f"an array of shape {value.shape}"
            raise DataError(f"input {position} is {came}; this model reads pictures of shape {shape}")
        pixels_HWc = value.reshape(self.height, self.width, self.channels).astype(np.float32) / self.scale
        scaled = (pixels_HWc - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)
