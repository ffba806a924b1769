"""Metrics that count what two texts share, in [0, 1]. Tokens are words and single signs, in lower case."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

LONGEST_GRAM = 4


def tokens(text: str) -> list[str]:
    """Words and single signs, lower case."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def grams(words: Sequence[str], length: int) -> Counter[tuple[str, ...]]:
    """How often every run of `length` words occurs."""
    return Counter(tuple(words[i : i + length]) for i in range(len(words) - length + 1))


def bleu(said: str, wanted: str) -> float:
    """BLEU-4 of one sentence (Papineni et al. 2002).

    A precision of 0 counts as half of a match (Chen and Cherry 2014, method 1 with 0.5), and a text shorter than four
    words uses as long grams as it has.
    """
    words, reference = tokens(said), tokens(wanted)
    if not words or not reference:
        return float(words == reference)
    longest = min(LONGEST_GRAM, len(words))
    logs = []
    for length in range(1, longest + 1):
        found = grams(words, length)
        matches = sum((found & grams(reference, length)).values())
        if matches == 0 and length == 1:
            return 0.0
        logs.append(math.log((matches or 0.5) / sum(found.values())))
    brevity = min(0.0, 1 - len(reference) / len(words))
    return math.exp(brevity + sum(logs) / longest)


def gleu(said: str, wanted: str) -> float:
    """Google's GLEU (Wu et al. 2016): the lesser of precision and recall over all runs of 1 to 4 words."""
    words, reference = tokens(said), tokens(wanted)
    matches = num_said = num_wanted = 0
    for length in range(1, LONGEST_GRAM + 1):
        found, expected = grams(words, length), grams(reference, length)
        matches += sum((found & expected).values())
        num_said += sum(found.values())
        num_wanted += sum(expected.values())
    most = max(num_said, num_wanted)
    return matches / most if most else 1.0


def rouge_n(said: str, wanted: str, length: int) -> float:
    """ROUGE-N (Lin 2004), the F1 of runs of `length` words; equal texts that are too short count as 1."""
    words, reference = tokens(said), tokens(wanted)
    found, expected = grams(words, length), grams(reference, length)
    if not found or not expected:
        return float(words == reference)
    return _f1(sum((found & expected).values()), sum(found.values()), sum(expected.values()))


def rouge_l(said: str, wanted: str) -> float:
    """ROUGE-L (Lin 2004), the F1 of the longest common subsequence of words."""
    words, reference = tokens(said), tokens(wanted)
    if not words or not reference:
        return float(words == reference)
    best = [0] * (len(reference) + 1)
    for word in words:
        diagonal = 0
        for i, other in enumerate(reference, 1):
            above = best[i]
            best[i] = diagonal + 1 if word == other else max(above, best[i - 1])
            diagonal = above
    return _f1(best[-1], len(words), len(reference))


def meteor(said: str, wanted: str) -> float:
    """METEOR (Banerjee and Lavie 2005) with exact matches alone: no stems and no synonyms, which need a dictionary."""
    words, reference = tokens(said), tokens(wanted)
    pairs = _aligned(words, reference)
    if not pairs:
        return float(words == reference)
    precision, recall = len(pairs) / len(words), len(pairs) / len(reference)
    mean = 10 * precision * recall / (recall + 9 * precision)
    chunks = 1 + sum(a[0] + 1 != b[0] or a[1] + 1 != b[1] for a, b in pairwise(pairs))
    return mean * (1 - 0.5 * (chunks / len(pairs)) ** 3)


def _aligned(words: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
    """Each word with the equal word of the reference, in order of the words; next to the last match where possible."""
    free: dict[str, list[int]] = {}
    for i, word in enumerate(reference):
        free.setdefault(word, []).append(i)
    pairs: list[tuple[int, int]] = []
    for i, word in enumerate(words):
        places = free.get(word)
        if places:
            following = pairs[-1][1] + 1 if pairs else 0
            place = following if following in places else places[0]
            places.remove(place)
            pairs.append((i, place))
    return pairs


def _f1(matches: int, num_said: int, num_wanted: int) -> float:
    if matches == 0:
        return 0.0
    precision, recall = matches / num_said, matches / num_wanted
    return 2 * precision * recall / (precision + recall)
