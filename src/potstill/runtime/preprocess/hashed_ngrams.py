"""Text as hashed word and character n-grams with TF-IDF weights. Shapes: B batch, F n-grams."""

from __future__ import annotations

import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from potstill.errors import BundleError, DataError
from potstill.files import digest
from potstill.runtime.preprocess.base import Entry
from potstill.types import FloatArray, Input, IntArray

FILE = "idf.f32"
# Ends of a text, among the characters that no text has.
BEGIN, END = "\x02", "\x03"


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HashedNgrams:
    """Buckets of n-grams; bucket 0 is padding.

    Words give n-grams over words. Character n-grams stay inside a word with a space on both sides, as in scikit-learn's
    `char_wb`, or run across words, over the whole text with its ends marked, so that they see which ending meets which
    word and what a text closes with. The hash is CRC-32 of the UTF-8, the same on every machine.

    Attributes:
        num_buckets: size of the table, padding included.
        word_ngrams: shortest and longest word n-gram.
        char_ngrams: shortest and longest character n-gram.
        across_words: whether character n-grams run across words.
        idf: float32, one weight a bucket; a bucket of weight 0 isn't looked at. None weighs all alike.
    """

    num_buckets: int
    word_ngrams: tuple[int, int]
    char_ngrams: tuple[int, int]
    idf: FloatArray | None
    across_words: bool = False
    kind: Literal["hashed_ngrams"] = "hashed_ngrams"
    _buckets: dict[str, list[int]] = field(default_factory=dict, repr=False)

    def encode(self, inputs: Sequence[Input]) -> list[tuple[IntArray, FloatArray]]:
        """Sorted buckets and their weights (1 + log count, times idf, to unit length) of each text."""
        return [self._encode(value, position) for position, value in enumerate(inputs)]

    def length(self, encoded: tuple[IntArray, FloatArray]) -> int:
        """Number of buckets."""
        return len(encoded[0])

    def batch(self, encoded: Sequence[tuple[IntArray, FloatArray]]) -> dict[str, NDArray[Any]]:
        """`ids`: int32, B x F, padded with 0; `weights`: float32, B x F, padded with 0."""
        longest = max(len(ids) for ids, _ in encoded)
        ids_BF = np.zeros((len(encoded), longest), np.int32)
        weights_BF = np.zeros((len(encoded), longest), np.float32)
        for i, (ids, weights) in enumerate(encoded):
            ids_BF[i, : len(ids)] = ids
            weights_BF[i, : len(weights)] = weights
        return {"ids": ids_BF, "weights": weights_BF}

    def to_json(self) -> dict[str, Any]:
        """All of it, the weights as their digest."""
        idf = None if self.idf is None else digest(self.idf.astype("<f4").tobytes())
        return {**self._options(), "idf": idf}

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes the idf weights."""
        if self.idf is None:
            return self._options()
        (folder / FILE).write_bytes(self.idf.astype("<f4").tobytes())
        return {**self._options(), "file": FILE}

    @classmethod
    def from_entry(cls, entry: Entry, files: dict[str, bytes]) -> HashedNgrams:
        """Reads what `save` wrote, from the files' bytes.

        Raises:
            BundleError: the weights don't fit the table.
        """
        idf = np.frombuffer(files[entry["file"]], "<f4") if "file" in entry else None
        if idf is not None and len(idf) != entry["num_buckets"]:
            raise BundleError(f"{entry['file']} holds {len(idf)} weights, the manifest says {entry['num_buckets']}")
        return cls(
            num_buckets=int(entry["num_buckets"]),
            word_ngrams=(int(entry["word_ngrams"][0]), int(entry["word_ngrams"][1])),
            char_ngrams=(int(entry["char_ngrams"][0]), int(entry["char_ngrams"][1])),
            idf=idf,
            # Bundles from before there was a choice stay inside words.
            across_words=bool(entry.get("across_words", False)),
        )

    def _options(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "num_buckets": self.num_buckets,
            "word_ngrams": list(self.word_ngrams),
            "char_ngrams": list(self.char_ngrams),
            "across_words": self.across_words,
        }

    def _encode(self, value: Input, position: int) -> tuple[IntArray, FloatArray]:
        if not isinstance(value, str):
            raise DataError(f"input {position} is of type {type(value).__name__}; this model reads text")
        words = unicodedata.normalize("NFC", value).casefold().split()
        counts = Counter(self._hash(gram) for gram in _word_ngrams(words, self.word_ngrams))
        if self.across_words and words:
            counts.update(self._hash(gram) for gram in _char_ngrams(f"{BEGIN}{' '.join(words)}{END}", self.char_ngrams))
        else:
            for word in words:
                counts.update(self._word_buckets(word))
        if not counts:
            return np.zeros(1, np.int32), np.zeros(1, np.float32)
        ids = np.array(sorted(counts), np.int32)
        weights = 1 + np.log(np.array([counts[bucket] for bucket in ids.tolist()], np.float32))
        if self.idf is not None:
            weights = weights * self.idf[ids]
            # What weighs nothing needs no lookup.
            ids, weights = ids[weights > 0], weights[weights > 0]
            if not len(ids):
                return np.zeros(1, np.int32), np.zeros(1, np.float32)
        norm = max(float(np.linalg.norm(weights)), 1e-12)
        return ids, (weights / norm).astype(np.float32)

    def _word_buckets(self, word: str) -> list[int]:
        """Buckets of a word's character n-grams; words recur, so they are remembered."""
        known = self._buckets.get(word)
        if known is None:
            padded = f" {word} "
            known = [self._hash(gram) for gram in _char_ngrams(padded, self.char_ngrams)]
            if len(self._buckets) < 100_000:
                self._buckets[word] = known
        return known

    def _hash(self, gram: str) -> int:
        return 1 + zlib.crc32(gram.encode("utf-8", "surrogatepass")) % (self.num_buckets - 1)


def _word_ngrams(words: list[str], lengths: tuple[int, int]) -> Iterator[str]:
    for n in range(lengths[0], lengths[1] + 1):
        for i in range(len(words) - n + 1):
            # The mark keeps a word apart from the same letters as a character n-gram.
            yield "w:" + " ".join(words[i : i + n])


def _char_ngrams(padded: str, lengths: tuple[int, int]) -> Iterator[str]:
    for n in range(lengths[0], lengths[1] + 1):
        for i in range(max(1, len(padded) - n + 1)):
            yield "c:" + padded[i : i + n]
