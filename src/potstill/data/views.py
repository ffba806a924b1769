"""Seeded views: the same distorted input for teacher and student, without keeping a single one.

A view is a pure function of (seed, number of the view, the input's own bytes, `VERSION`), so a teacher's answer to it
can be kept and reused, and a student can never be shown another view than the one that was answered.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from potstill.data.rows import row_digest
from potstill.types import FloatArray, Input, IntArray

# To be raised with every change of what a view looks like.
VERSION = 1


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """How an input is distorted.

    Pictures are moved by up to an eighth of their sides, the border mirrored, and perhaps flipped. Sounds are made up
    to 15 % faster or slower, moved by up to a tenth of a second, made louder or softer by up to 6 dB, and get noise
    40 to 70 dB below full scale.

    Attributes:
        num_views: of every input; number 0 is the input itself.
        flip: pictures may be mirrored left to right; wrong for letters and digits.
        sample_rate: of sounds, in Hz.
        seed: of all of it.
    """

    num_views: int
    flip: bool
    sample_rate: int = 16_000
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """All that decides what a view looks like."""
        return {"version": VERSION, **{name: getattr(self, name) for name in self.__dataclass_fields__}}

    def view(self, value: Input, number: int) -> Input:
        """The view of this number, below `num_views`; texts have no views but themselves."""
        if number == 0 or isinstance(value, str):
            return value
        place = f"view/{VERSION}/{self.seed}/{number}/".encode() + row_digest(value)
        chance = hashlib.sha256(place).digest()
        return self._sound(value, chance) if value.ndim == 1 else self._picture(value, chance)

    def _picture(self, picture: NDArray[Any], chance: bytes) -> NDArray[Any]:
        """By rows and columns, since it is done for every picture of every step."""
        height, width = picture.shape[:2]
        rows, columns = _mirrored(height), _mirrored(width)
        # Numbers far below 2^32: what the remainder prefers can't be seen.
        y = int.from_bytes(chance[:4], "big") % (len(rows) - height + 1)
        x = int.from_bytes(chance[4:8], "big") % (len(columns) - width + 1)
        seen = columns[x : x + width]
        if self.flip and chance[8] & 1:
            seen = seen[::-1]
        return np.ascontiguousarray(picture[rows[y : y + height]][:, seen])

    def _sound(self, samples_S: FloatArray, chance: bytes) -> FloatArray:
        random = np.random.Generator(np.random.PCG64(int.from_bytes(chance[:16], "big")))
        speed = float(np.exp(random.uniform(-0.14, 0.14)))
        length = max(1, round(len(samples_S) / speed))
        changed = np.interp(np.linspace(0, len(samples_S) - 1, length), np.arange(len(samples_S)), samples_S)
        reach = self.sample_rate // 10
        shift = int(random.integers(-reach, reach + 1))
        moved = np.concatenate([np.zeros(shift), changed]) if shift > 0 else changed[min(-shift, length // 2) :]
        gain = 10 ** (random.uniform(-6, 6) / 20)
        noise = 10 ** (random.uniform(-70, -40) / 20)
        heard: FloatArray = (moved * gain + random.normal(0, noise, len(moved))).astype(np.float32)
        return heard


@lru_cache(maxsize=64)
def _mirrored(side: int) -> IntArray:
    """Positions along a side with an eighth of it mirrored at both ends: ... 1 0 0 1 2 ..."""
    margin = max(1, side // 8)
    return np.pad(np.arange(side), margin, mode="symmetric")


def may_flip(wish: str, example: Input) -> bool:
    """What `yes`, `no` or `auto` means for these inputs: photographs may be mirrored, grey pictures may be letters."""
    if wish != "auto":
        return wish == "yes"
    return not isinstance(example, str) and example.ndim == 3
