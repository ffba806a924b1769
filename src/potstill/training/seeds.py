"""Randomness as a pure function of where we are, so that nothing random has to be saved or can drift."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *path: str | int) -> int:
    """A 63-bit seed for one place, such as `derive_seed(0, "step", 17)`."""
    text = "/".join(map(str, (seed, *path)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """A numpy generator for one place."""
    return np.random.default_rng(derive_seed(seed, *path))
