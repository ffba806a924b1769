"""Seeded views: the same distorted input for teacher and student, without keeping a single one.

A view is a pure function of (seed, number of the view, the input's own bytes, `VERSION`), so a teacher's answer to it
can be kept and reused, and a student can never be shown another view than the one that was answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from potstill.data.distort import blended, fitted, masked_sound, rand_augmented, recoloured
from potstill.data.rows import row_digest
from potstill.errors import ConfigurationError
from potstill.types import FloatArray, Input, IntArray

# To be raised with every change of what a view looks like.
VERSION = 1


Strength = Literal["light", "colour", "strong"]
Mix = Literal["none", "mixup", "cutmix"]


class Shown(NamedTuple):
    """What a network is shown of a row.

    Attributes:
        value: the view.
        partner: position of the row that was mixed in; the row's own where nothing was.
        share: of the row in the mixture, 1 where nothing was mixed in.
    """

    value: Input
    partner: int
    share: float


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """How an input is distorted.

    Pictures are moved by up to an eighth of their sides, the border mirrored, and perhaps flipped. Sounds are made up
    to 15 % faster or slower, moved by up to a tenth of a second, made louder or softer by up to 6 dB, and get noise
    40 to 70 dB below full scale. `colour` changes brightness, contrast and saturation besides; `strong` adds two
    operations of RandAugment to pictures, and silences a stretch of time and a band of frequencies in sounds.

    Attributes:
        num_views: of every input; number 0 is the input itself.
        strength: `light`, `colour` or `strong`.
        mix: whether another row is mixed in, shining through (`mixup`) or pasted in (`cutmix`).
        flip: pictures may be mirrored left to right; wrong for letters and digits.
        sample_rate: of sounds, in Hz.
        seed: of all of it.
    """

    num_views: int
    flip: bool
    strength: Strength = "light"
    mix: Mix = "none"
    sample_rate: int = 16_000
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """All that decides what a view looks like."""
        return {"version": VERSION, **{name: getattr(self, name) for name in self.__dataclass_fields__}}

    def view(self, value: Input, number: int) -> Input:
        """The view of this number, below `num_views`, unmixed; texts have no views but themselves."""
        if number == 0 or isinstance(value, str):
            return value
        chance = self._chance("view", value, number)
        return self._sound(value, chance) if value.ndim == 1 else self._picture(value, chance)

    def show(self, inputs: Sequence[Input], position: int, number: int) -> Shown:
        """The view of this number of one of the rows, with another row of them mixed in where that is asked for.

        The partner depends on the number and order of the rows, too: with other rows beside it, a row is mixed anew.
        """
        value = inputs[position]
        seen = self.view(value, number)
        if number == 0 or self.mix == "none" or isinstance(seen, str) or isinstance(value, str):
            return Shown(seen, position, 1.0)
        chance = self._chance("mix", value, number)
        partner = int.from_bytes(chance[:8], "big") % len(inputs)
        beside = self.view(inputs[partner], number)
        other = None if isinstance(beside, str) else fitted(beside, seen.shape)
        if other is None or partner == position:
            return Shown(seen, position, 1.0)
        random = _generator(chance[8:24])
        # The row itself always weighs more, so that every row is met as what it is.
        mixture, share = blended(seen, other, random.uniform(0.5, 1.0), cut=self.mix == "cutmix", random=random)
        return Shown(mixture, partner, float(share))

    def _chance(self, what: str, value: Input, number: int) -> bytes:
        return hashlib.sha256(f"{what}/{VERSION}/{self.seed}/{number}/".encode() + row_digest(value)).digest()

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
        moved = np.ascontiguousarray(picture[rows[y : y + height]][:, seen])
        if self.strength == "light":
            return moved
        random = _generator(chance[9:25])
        coloured = recoloured(moved, random)
        if self.strength == "colour":
            return coloured
        if coloured.dtype != np.uint8:
            raise ConfigurationError(
                f"training.augment is strong, which needs pictures of 0..255 as uint8; these are {coloured.dtype}. Use "
                "light or colour."
            )
        return rand_augmented(coloured, random)

    def _sound(self, samples_S: FloatArray, chance: bytes) -> FloatArray:
        random = _generator(chance[:16])
        speed = float(np.exp(random.uniform(-0.14, 0.14)))
        length = max(1, round(len(samples_S) / speed))
        changed = np.interp(np.linspace(0, len(samples_S) - 1, length), np.arange(len(samples_S)), samples_S)
        reach = self.sample_rate // 10
        shift = int(random.integers(-reach, reach + 1))
        moved = np.concatenate([np.zeros(shift), changed]) if shift > 0 else changed[min(-shift, length // 2) :]
        gain = 10 ** (random.uniform(-6, 6) / 20)
        noise = 10 ** (random.uniform(-70, -40) / 20)
        heard: FloatArray = (moved * gain + random.normal(0, noise, len(moved))).astype(np.float32)
        return masked_sound(heard, random) if self.strength == "strong" else heard


def _generator(chance: bytes) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(int.from_bytes(chance, "big")))


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
