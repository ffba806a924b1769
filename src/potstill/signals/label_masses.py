"""How probable each label was, from the log-probabilities of the tokens that an answer was written in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from potstill.types import FloatArray

Tokens = Sequence[Mapping[str, Any]]
# What may stand behind a value: the end of a JSON value, or of a word.
ENDS = ",}] \n\r\t"


def checked_tokens(logprobs: Any) -> list[Mapping[str, Any]] | None:
    """The `content` of a choice's `logprobs`; empty without, None where it is no such thing."""
    listed = logprobs.get("content") if isinstance(logprobs, Mapping) else logprobs
    if listed is None:
        return []
    if not isinstance(listed, list):
        return None
    for token in listed:
        if not isinstance(token, Mapping) or not isinstance(others := token.get("top_logprobs") or [], list):
            return None
        if not all(_is_entry(entry) for entry in (token, *others)):
            return None
    return list(listed)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("token"), str):
        return False
    value = entry.get("logprob")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not math.isnan(value) and value <= 1e-6


def label_masses(spellings: Sequence[str], said: str, content: str, tokens: Tokens, start: int) -> FloatArray | None:
    """Probability of each label from the alternatives of the tokens of its name; None when they can't be followed.

    The name that was said is walked token by token. At every token an alternative takes its share of the mass that is
    left, and gives it to the labels whose names go on that way, in equal parts; the token that was said keeps the rest
    for the next step. Mass that no label explains (the remainder beyond the listed alternatives too) is spread evenly.

    Args:
        spellings: how each label is written there, with the quote that ends it where it has one.
        said: the one that was written.
        content: the whole answer.
        tokens: of it, checked.
        start: where `said` begins in it.
    """
    if "".join(str(token["token"]) for token in tokens) != content or not content.startswith(said, start):
        return None
    masses = np.zeros(len(spellings))
    left, unexplained, place = 1.0, 0.0, 0
    for token in tokens:
        text = str(token["token"])
        begin, place = place, place + len(text)
        if place <= start or begin >= start + len(said):
            continue
        before = content[start:begin] if begin > start else ""
        lead = content[begin:start] if begin < start else ""
        own = math.exp(float(token["logprob"]))
        listed = own
        for other in token.get("top_logprobs") or []:
            name = str(other["token"])
            if name == text:
                continue
            share = math.exp(float(other["logprob"]))
            listed += share
            written = before + name[len(lead) :]
            goes_on = [i for i, s in enumerate(spellings) if name.startswith(lead) and _continues(s, written)]
            masses[goes_on] += left * share / max(1, len(goes_on))
            unexplained += 0.0 if goes_on else left * share
        unexplained += left * max(0.0, 1 - listed)
        left *= min(own, 1.0)
    masses[list(spellings).index(said)] += left
    total = masses + unexplained / len(spellings)
    found: FloatArray = total / total.sum()
    return found


def _continues(spelling: str, written: str) -> bool:
    """Whether what is written so far can become this label, or has become it."""
    if spelling.startswith(written):
        return True
    return written.startswith(spelling) and (spelling.endswith('"') or written[len(spelling)] in ENDS)
