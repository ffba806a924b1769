"""Learns the pieces of a WordPiece vocabulary by merging the most frequent pairs (Sennrich et al. 2016, 1508.07909).

The trainer of `tokenizers` breaks ties in the order of a hash table, so the same texts give another vocabulary in every
process, and with it another teacher and another student. Here ties go to the pair that sorts first.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

Pair = tuple[str, str]


def learn_pieces(words: Mapping[str, int], *, size: int, least_count: int = 2) -> list[str]:
    """Pieces by rank: single characters from the most frequent on, then merges.

    Args:
        words: word -> how often it stands in the texts.
        size: how many pieces at most.
        least_count: pairs that are rarer are not merged.
    """
    counts = list(words.values())
    spelled = [[word[0], *(f"##{character}" for character in word[1:])] for word in words]
    found = _characters(spelled, counts)[:size]
    known = set(found)
    pairs: Counter[Pair] = Counter()
    holders: dict[Pair, set[int]] = defaultdict(set)
    for i, pieces in enumerate(spelled):
        _recount([], pieces, counts[i], i, pairs, holders)
    queue = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(queue)
    while queue and len(found) < size:
        negative, pair = heapq.heappop(queue)
        if -negative != pairs[pair]:
            continue  # counted again since; the newer entry is in the queue too
        if -negative < least_count:
            break
        merged = pair[0] + pair[1].removeprefix("##")
        if merged not in known:
            known.add(merged)
            found.append(merged)
        changed: set[Pair] = set()
        for i in sorted(holders.pop(pair)):
            before, after = spelled[i], _merge(spelled[i], pair, merged)
            spelled[i] = after
            changed |= _recount(before, after, counts[i], i, pairs, holders)
        pairs[pair] = 0
        for other in changed - {pair}:
            if pairs[other] > 0:
                heapq.heappush(queue, (-pairs[other], other))
    return found


def _characters(spelled: list[list[str]], counts: list[int]) -> list[str]:
    """Single characters, the most frequent first."""
    total: Counter[str] = Counter()
    for pieces, count in zip(spelled, counts, strict=True):
        for piece in pieces:
            total[piece] += count
    return [piece for piece, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))]


def _merge(pieces: list[str], pair: Pair, merged: str) -> list[str]:
    result: list[str] = []
    i = 0
    while i < len(pieces):
        if i + 1 < len(pieces) and (pieces[i], pieces[i + 1]) == pair:
            result.append(merged)
            i += 2
        else:
            result.append(pieces[i])
            i += 1
    return result


def _recount(
    before: list[str], after: list[str], count: int, word: int, pairs: Counter[Pair], holders: dict[Pair, set[int]]
) -> set[Pair]:
    """Moves a word's pairs from one spelling to another; returns those whose count changed."""
    old = list(pairwise(before))
    new = list(pairwise(after))
    for pair in old:
        pairs[pair] -= count
    for pair in new:
        pairs[pair] += count
        holders[pair].add(word)
    for pair in set(old) - set(new):
        holders[pair].discard(word)
    return set(old) ^ set(new) | {pair for pair in set(old) & set(new) if old.count(pair) != new.count(pair)}
