"""How much of a training a delta can carry: what moved least goes back to where the parent has it.

A weight of the parent's int8 grid moves by whole steps of it. One that the parent holds in fp32 keeps the lower two of
its four bytes, so that it moves as finely as bfloat16 and costs no more than two. Distances are counted in steps for
both: in fp32 a step is a 127th of the largest weight of a channel, as int8 would have it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.types import FloatArray

# Steps that a weight must move to count, at least.
DEAD_ZONE = 1.5
LARGEST = 127
# Share of the weights' bytes that a delta may take.
DELTA_SHARE = 0.06
NUM_HALVINGS = 8
# Steps of a channel without weights: nothing can be written on such a grid.
NO_STEP = 1e-9
LOWER, SIGN = np.uint32(0xFFFF), np.uint32(0x80000000)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How much of a training stays.

    Attributes:
        values: name -> weights, as a delta can carry them.
        moved: name -> which of them left the parent.
        dead_zone: steps that a weight had to move to count.
        share: of the weights' bytes that a delta takes, as zlib finds it.
    """

    values: Mapping[str, FloatArray]
    moved: Mapping[str, NDArray[np.bool_]]
    dead_zone: float
    share: float


def keep_most_moved(
    before: Mapping[str, FloatArray],
    after: Mapping[str, FloatArray],
    steps: Mapping[str, FloatArray],
    *,
    delta_share: float = DELTA_SHARE,
) -> Kept:
    """Puts back what moved least; the dead zone grows until the delta takes no more than its share.

    Args:
        before: name -> weights of the parent.
        after: name -> the same weights, trained.
        steps: name -> step of the grid of what the parent holds in int8, in the shape of the weights.
        delta_share: of the weights' bytes, that the delta may take.
    """
    held = {name: _held(before[name], steps.get(name)) for name in after}
    distances = {name: held[name].distances(after[name]) for name in after}

    def moved(zone: float) -> dict[str, NDArray[np.bool_]]:
        return {name: distances[name] > zone for name in after}

    def share(zone: float) -> float:
        parts = [held[name].difference(after[name], moved) for name, moved in moved(zone).items()]
        return len(zlib.compress(b"".join(parts), 6)) / max(1, sum(map(len, parts)))

    zone = _smallest_zone(share, delta_share)
    kept = moved(zone)
    values = {name: np.where(kept[name], held[name].near(after[name]), before[name]) for name in after}
    return Kept(values=values, moved=kept, dead_zone=zone, share=share(zone))


@dataclass(frozen=True)
class _Held:
    """A tensor as a device has it; `steps` in its shape."""

    values: FloatArray
    steps: FloatArray
    is_int8: bool

    def distances(self, after: FloatArray) -> FloatArray:
        """Steps that every weight moved, 0 for those that can't."""
        found: FloatArray = np.abs(after - self.values) / self.steps
        if not self.is_int8:
            return found
        # The largest weight of a channel decides its step; where it stood it stays.
        stays = (np.abs(np.rint(self.values / self.steps)) >= LARGEST) | (self.steps < NO_STEP)
        return np.where(stays, np.float32(0), found)

    def near(self, after: FloatArray) -> FloatArray:
        """What can be written that is next to these weights."""
        if not self.is_int8:
            return _with_lower_bytes(after, self.values)
        whole = np.clip(np.rint(after / self.steps), -LARGEST, LARGEST)
        return (whole * self.steps).astype(np.float32)

    def difference(self, after: FloatArray, moved: NDArray[np.bool_]) -> bytes:
        """As a delta by subtraction holds it."""
        new = np.where(moved, self.near(after), self.values)
        if not self.is_int8:
            return _bytes_between(self.values, new)
        return _bytes_between(*(np.rint(values / self.steps).astype(np.int8) for values in (self.values, new)))


def _held(values: FloatArray, steps: FloatArray | None) -> _Held:
    if steps is not None:
        return _Held(values, np.maximum(steps, np.float32(NO_STEP / 2)), is_int8=True)
    other = tuple(range(1, values.ndim)) if values.ndim > 1 else None
    largest = np.abs(values).max(axis=other, keepdims=True)
    # What was all 0 has no size of its own to count in.
    return _Held(values, np.broadcast_to(np.where(largest > 0, largest, 1) / LARGEST, values.shape), is_int8=False)


def _with_lower_bytes(values: FloatArray, like: FloatArray) -> FloatArray:
    """fp32 values as near as they can be with the lower two bytes of others."""
    bits, low = (np.ascontiguousarray(x, np.float32).view(np.uint32) for x in (values, like))
    low = low & LOWER
    # Without its sign a float's bits grow with it.
    size = (bits & ~SIGN).astype(np.int64)
    upper = np.maximum(0, np.rint((size - low) / 0x10000)).astype(np.uint32) << np.uint32(16)
    found: FloatArray = (upper | low | bits & SIGN).view(np.float32)
    return found


def _bytes_between(before: NDArray[Any], after: NDArray[Any]) -> bytes:
    old, new = (np.ascontiguousarray(values).view(np.uint8).ravel() for values in (before, after))
    difference: bytes = (new - old).tobytes()
    return difference


def _smallest_zone(share: Callable[[float], float], limit: float) -> float:
    """The smallest dead zone whose share is within the limit, by halving; the share falls as the zone grows."""
    if share(DEAD_ZONE) <= limit:
        return DEAD_ZONE
    low, high = DEAD_ZONE, 2.0 * LARGEST
    for _ in range(NUM_HALVINGS):
        # Most weights move by few steps, so halves are taken of the ratio.
        middle = (low * high) ** 0.5
        low, high = (low, middle) if share(middle) <= limit else (middle, high)
    return high
