"""Finds rows that stand twice, or in train and test at once; exactly, or nearly."""

from __future__ import annotations

import heapq
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from potstill.data.rows import Rows
from potstill.types import IntArray

GRAM = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A row of one table that repeats a row of another.

    Attributes:
        position: in the first table.
        other: in the second table.
        similarity: Jaccard similarity of their character 5-grams; 1 for the same text.
    """

    position: int
    other: int
    similarity: float


def normal_form(text: str) -> str:
    """NFC, lower case, letters and digits only, single spaces: what two copies of a text share."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFC", text).lower()))


def find_leaks(rows: Rows, test: Rows, near: float) -> list[Pair]:
    """Rows that stand in test too; one pair a row, the most similar."""
    exact_of: dict[object, int] = {}
    for position, key in enumerate(_keys(test)):
        exact_of.setdefault(key, position)
    keys = _keys(rows)
    found = {i: Pair(position=i, other=exact_of[k], similarity=1.0) for i, k in enumerate(keys) if k in exact_of}
    if near < 1 and len(rows) and isinstance(rows.inputs[0], str):
        for pair in _near_pairs([str(k) for k in keys], [str(k) for k in _keys(test)], near):
            known = found.get(pair.position)
            if known is None or pair.similarity > known.similarity:
                found[pair.position] = pair
    return [found[i] for i in sorted(found)]


def find_repeats(rows: Rows) -> tuple[IntArray, list[Pair]]:
    """Positions of rows that repeat an earlier one with the same labels, and pairs with other labels."""
    first: dict[object, int] = {}
    repeats: list[int] = []
    conflicts: list[Pair] = []
    for position, key in enumerate(rows.digests()):
        earlier = first.setdefault(key, position)
        if earlier == position:
            continue
        if (rows.labels[earlier] == rows.labels[position]).all():
            repeats.append(position)
        elif (rows.labels[[earlier, position]] >= 0).any(1).all():
            conflicts.append(Pair(position=position, other=earlier, similarity=1.0))
    return np.array(repeats, np.int64), conflicts


def _keys(rows: Rows) -> list[object]:
    """What makes two rows the same: a text's normal form, the bytes of anything else."""
    if len(rows) and isinstance(rows.inputs[0], str):
        # A text of signs alone has an empty normal form; it stands for itself.
        return [normal_form(str(text)) or str(text) for text in rows.inputs]
    return list(rows.digests())


def _near_pairs(texts: Sequence[str], others: Sequence[str], near: float) -> Iterator[Pair]:
    """For each text the most similar of the others, if it is similar enough.

    Exact, by prefix filtering (Chaudhuri et al. 2006): order the grams of every text from the rarest on; two sets whose
    Jaccard similarity reaches t share a gram among their first n - ceil(t n) + 1. Only the others are held in memory.
    """
    grams_of = [_grams(text) for text in others]
    counts = Counter(gram for grams in grams_of for gram in grams)
    holders: dict[str, list[int]] = {}
    for position, grams in enumerate(grams_of):
        for gram in _prefix(grams, counts, near):
            holders.setdefault(gram, []).append(position)
    for position, text in enumerate(texts):
        grams = _grams(text)
        candidates = {other for gram in _prefix(grams, counts, near) for other in holders.get(gram, ())}
        scored = [(_jaccard(grams, grams_of[other]), -other) for other in candidates]
        similarity, other = max(scored, default=(0.0, 0))
        if similarity >= near:
            yield Pair(position=position, other=-other, similarity=similarity)


def _grams(text: str) -> frozenset[str]:
    """Character 5-grams; a shorter text is one gram."""
    return frozenset(text[i : i + GRAM] for i in range(max(1, len(text) - GRAM + 1)))


def _prefix(grams: frozenset[str], counts: Counter[str], near: float) -> list[str]:
    # The 1e-9 keeps 0.9 * 10 from being rounded up to 10.
    length = len(grams) - math.ceil(near * len(grams) - 1e-9) + 1
    return heapq.nsmallest(length, grams, key=lambda gram: (counts[gram], gram))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)
