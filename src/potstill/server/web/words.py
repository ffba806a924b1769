"""The dashboard's sentences, and which language a browser wants."""

from __future__ import annotations

from potstill.report.words import Words
from potstill.server.web import words_en, words_ko

LANGUAGES: dict[str, dict[str, str]] = {"en": words_en.WORDS, "ko": words_ko.WORDS}
# Each language names itself, so that its reader finds it.
NAMES = {"en": "English", "ko": "한국어"}


def words_in(language: str) -> Words:
    """The sentences of one language."""
    return Words(language, LANGUAGES)


def chosen_language(cookie: str, accepted: str) -> str:
    """What the reader chose, else the best of an Accept-Language header, else English (RFC 9110, 12.5.4)."""
    if cookie in LANGUAGES:
        return cookie
    weights: dict[str, tuple[float, int]] = {}
    for position, part in enumerate(accepted[:1000].split(",")):
        tag, _, parameter = part.strip().partition(";")
        language = tag.partition("-")[0].strip().lower()
        weight = _weight(parameter)
        if language in LANGUAGES and weight > 0:
            weights.setdefault(language, (weight, -position))
    return max(weights, key=lambda name: weights[name], default="en")


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0
