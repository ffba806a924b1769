"""Guesses which column is the input and which the label; the guess is always said aloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from potstill.data.table import Table
from potstill.errors import DataError
from potstill.runtime.media import PICTURE_SUFFIXES, SOUND_SUFFIXES

TEXT_NAMES = (
    "text", "sentence", "utterance", "query", "question", "message", "content", "input", "prompt", "document", "review",
    "문장", "텍스트", "발화", "질문", "내용", "본문", "리뷰",
)  # fmt: skip
LABEL_NAMES = (
    "label", "category", "intent", "class", "target", "labels", "topic", "sentiment", "answer", "output",
    "라벨", "레이블", "분류", "의도", "카테고리", "감정", "주제",
)  # fmt: skip
# A guess looks at this many rows.
SAMPLE = 2000


def guess_text(table: Table, taken: Sequence[str] = ()) -> str:
    """The column of that name, else the one with the longest texts.

    Raises:
        DataError: no column holds texts, or one names files of pictures or sounds.
    """
    free = [name for name in table.columns if name not in taken]
    named = _by_name(free, TEXT_NAMES)
    if named:
        return named
    for name in free:
        if kind := _names_files(table.columns[name][:SAMPLE]):
            raise DataError(
                f"column {name!r} of {table.source} names {kind} files, which would be read as texts. Say --{kind} "
                f"{name} to read the files, or name the column with texts by --text."
            )
    lengths = {name: _mean_length(table.columns[name][:SAMPLE]) for name in free}
    best = max(free, key=lambda name: lengths[name], default=None)
    if best is None or lengths[best] == 0:
        raise DataError(
            f"{table.source} has no column that looks like text. It has: {', '.join(map(repr, table.columns))}. "
            "Name it with --text."
        )
    return best


def guess_label(table: Table, text: str) -> str:
    """The column of that name, else the one whose values repeat most.

    Raises:
        DataError: no column repeats its values.
    """
    free = [name for name in table.columns if name != text]
    named = _by_name(free, LABEL_NAMES)
    if named:
        return named
    repeats = {name: _repetition(table.columns[name][:SAMPLE]) for name in free}
    best = max(free, key=lambda name: repeats[name], default=None)
    if best is None or repeats[best] < 2:
        raise DataError(
            f"{table.source} has no column that looks like a label (few values that repeat). It has: "
            f"{', '.join(map(repr, table.columns))}. Name it with --label."
        )
    return best


def _names_files(values: Sequence[Any]) -> str:
    """`image` or `audio` where all values end like names of such files, else nothing."""
    texts = [value.lower() for value in values if isinstance(value, str)]
    for kind, suffixes in (("image", PICTURE_SUFFIXES), ("audio", SOUND_SUFFIXES)):
        if texts and all(text.endswith(suffixes) for text in texts):
            return kind
    return ""


def _by_name(columns: Sequence[str], names: Sequence[str]) -> str | None:
    lower = {column.strip().lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def _mean_length(values: Sequence[Any]) -> float:
    texts = [value for value in values if isinstance(value, str)]
    return sum(map(len, texts)) / len(texts) if texts else 0.0


def _repetition(values: Sequence[Any]) -> float:
    """How often a value stands on average; 0 for a column with one value or with other things than names."""
    plain = [value for value in values if isinstance(value, str | int | bool) and value != ""]
    distinct = len(set(plain))
    return len(plain) / distinct if distinct > 1 else 0.0
