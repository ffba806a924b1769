"""Text as the ids of its pieces. Shapes: B batch, T tokens."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from potstill.errors import BundleError, DataError
from potstill.runtime.preprocess.base import Entry
from potstill.types import Input, IntArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"
PAD_ID = 0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TextTokens:
    """Cuts texts with a Hugging Face tokenizer file.

    Attributes:
        tokenizer_json: text of the tokenizer file; its padding piece must have id 0.
        max_length: longest result in pieces; the rest of a text is not read.
    """

    tokenizer_json: str
    max_length: int
    kind: Literal["text_tokens"] = "text_tokens"

    def encode(self, inputs: Sequence[Input]) -> list[IntArray]:
        """Ids of each text, at least one."""
        tokenizer = _tokenizer(self.tokenizer_json, self.max_length)
        texts = [_checked(value, position) for position, value in enumerate(inputs)]
        return [np.array(encoding.ids or [PAD_ID], np.int32) for encoding in tokenizer.encode_batch_fast(texts)]

    def length(self, encoded: IntArray) -> int:
        """Number of pieces."""
        return len(encoded)

    def batch(self, encoded: Sequence[IntArray]) -> dict[str, NDArray[Any]]:
        """`ids`: int32, B x T, padded with 0."""
        ids_BT = np.full((len(encoded), max(map(len, encoded))), PAD_ID, np.int32)
        for row, ids in zip(ids_BT, encoded, strict=True):
            row[: len(ids)] = ids
        return {"ids": ids_BT}

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {"kind": self.kind, "max_length": self.max_length, "tokenizer": self.tokenizer_json}

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes tokenizer.json."""
        (folder / FILE).write_text(self.tokenizer_json, "utf-8")
        return {"kind": self.kind, "max_length": self.max_length, "file": FILE}

    @classmethod
    def from_entry(cls, entry: Entry, files: dict[str, bytes]) -> TextTokens:
        """Reads what `save` wrote, from the files' bytes.

        Raises:
            BundleError: the tokenizer can't be read.
        """
        text = files[entry["file"]].decode("utf-8")
        tokens = cls(tokenizer_json=text, max_length=int(entry["max_length"]))
        _tokenizer(text, tokens.max_length)
        return tokens


def _checked(value: Input, position: int) -> str:
    if not isinstance(value, str):
        raise DataError(f"input {position} is of type {type(value).__name__}; this model reads text")
    # Files from macOS come decomposed; Hangul cut into jamo would not be found in the vocabulary.
    return unicodedata.normalize("NFC", value)


@lru_cache(maxsize=8)
def _tokenizer(tokenizer_json: str, max_length: int) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(tokenizer_json)
    except Exception as error:  # the library raises bare Exception
        raise BundleError(f"the tokenizer can't be read: {error}. Export the student again.") from error
    if tokenizer.id_to_token(PAD_ID) not in ("[PAD]", "<pad>"):
        raise BundleError(
            f"the tokenizer has {tokenizer.id_to_token(PAD_ID)!r} at id 0, where models expect padding. Rewrite its "
            "vocabulary so that the padding piece comes first."
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def tokenizer_size(tokenizer_json: str) -> int:
    """Number of pieces in a tokenizer file."""
    return len(json.loads(tokenizer_json)["model"]["vocab"])
