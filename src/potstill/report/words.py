"""Sentences in the reader's language."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from potstill.errors import ConfigurationError
from potstill.report import words_en, words_ko, written_en, written_ko
from potstill.types import Finding

LANGUAGES: dict[str, dict[str, str]] = {
    "en": {**words_en.WORDS, **written_en.WORDS},
    "ko": {**words_ko.WORDS, **written_ko.WORDS},
}
# Particles by the last sound: after a consonant, after a vowel.
_PARTICLES = {"은": ("은", "는"), "이": ("이", "가"), "을": ("을", "를"), "과": ("과", "와")}
# How the Latin letters and digits that end on a consonant in Korean are read: L, M, N, R; 0, 1, 3, 6, 7, 8.
_CLOSED = set("lmnrLMNR013678")


class _Formatter(string.Formatter):
    """Formats `{name:은}` as the name with the particle that fits its last sound."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec in _PARTICLES:
            closed, open_ = _PARTICLES[format_spec]
            return f"{value}{closed if ends_on_consonant(str(value)) else open_}"
        return str(super().format_field(value, format_spec))


def fill(sentence: str, values: Mapping[str, Any]) -> str:
    """A sentence with its values in their places."""
    return _Formatter().vformat(sentence, (), values)


def ends_on_consonant(text: str) -> bool:
    """Whether Korean hears a consonant at the end of a word."""
    last = text.rstrip("\"')]} ")[-1:]
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28 != 0
    return last in _CLOSED


class Words:
    """The sentences of one language."""

    def __init__(self, language: str, languages: Mapping[str, Mapping[str, str]] = LANGUAGES) -> None:
        if language not in languages:
            raise ConfigurationError(f"reports are written in {' and '.join(languages)}, not in {language!r}")
        self.language = language
        self._words = languages[language]

    def __call__(self, key: str, /, **values: Any) -> str:
        """The sentence of that key with its values."""
        return fill(self._words[key], values)

    def has(self, key: str) -> bool:
        """Whether there is such a sentence."""
        return key in self._words

    def contender(self, name: str, title: str) -> str:
        """A contender's name; one of another name goes by its title."""
        return self._words.get(name, title)

    def finding(self, finding: Finding) -> str:
        """The sentence of a finding."""
        values: Mapping[str, Any] = finding.values
        if "kind" in values and f"kind_{values['kind']}" in self._words:
            values = {**values, "kind": self._words[f"kind_{values['kind']}"]}
        return self(finding.code, **values)


def sentence(finding: Finding, language: str) -> str:
    """The sentence of a finding."""
    return Words(language).finding(finding)
