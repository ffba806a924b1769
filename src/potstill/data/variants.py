"""Texts made of the rows' own words, for a teacher to answer where few rows without labels are at hand.

They needn't make sense. The teacher says of each what it looks like, and a student that hears so learns where the
classes end, which rows of one class each don't show. A label would be wrong for most of them, so a control has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Shares of words that are left out and exchanged in a text that keeps its length, about.
DROPPED, EXCHANGED = 0.12, 0.1
LEAST_STRETCH = 3


def make_variants(texts: Sequence[str], num_variants: int, *, seed: int) -> list[str]:
    """Returns `num_variants` of each text, those left out that were made already or are one of the texts.

    Half of them miss some words and have others exchanged for words of any text, a quarter are a stretch of the text,
    and a quarter are its first half and the second half of another. Texts of one word without spaces are cut into
    characters.

    Args:
        texts: whose words are taken.
        num_variants: of each.
        seed: the same texts and seed give the same variants.
    """
    generator = np.random.default_rng(seed)
    made: dict[str, None] = {}
    for _ in range(num_variants):
        for text in texts:
            other = texts[int(generator.integers(len(texts)))]
            made[_variant(text, other, texts, generator)] = None
    known = set(texts)
    return [text for text in made if text and text not in known]


def _variant(text: str, other: str, texts: Sequence[str], generator: np.random.Generator) -> str:
    units, space = _units(text)
    others, _ = _units(other)
    kind = generator.random()
    if kind < 0.5:
        return space.join(_exchanged(units, texts, generator))
    if kind < 0.75:
        length = max(LEAST_STRETCH, round(len(units) * generator.uniform(0.4, 0.8)))
        start = int(generator.integers(max(1, len(units) - length + 1)))
        return space.join(units[start : start + length])
    return space.join([*units[: (len(units) + 1) // 2], *others[len(others) // 2 :]])


def _exchanged(units: Sequence[str], texts: Sequence[str], generator: np.random.Generator) -> list[str]:
    found = []
    for unit in units:
        chance = generator.random()
        if chance < DROPPED:
            continue
        exchanged = chance < DROPPED + EXCHANGED
        found.append(_any_unit(texts, generator) if exchanged else unit)
    return found


def _any_unit(texts: Sequence[str], generator: np.random.Generator) -> str:
    units, _ = _units(texts[int(generator.integers(len(texts)))])
    return units[int(generator.integers(len(units)))] if units else ""


def _units(text: str) -> tuple[list[str], str]:
    """What a text is made of, and what joins it again."""
    words = text.split()
    return (words, " ") if len(words) != 1 else (list(words[0]), "")
