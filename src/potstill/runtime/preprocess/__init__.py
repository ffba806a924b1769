"""Preprocessing: written once, shared by training, teacher and device."""

from potstill.runtime.preprocess.base import Preprocessor
from potstill.runtime.preprocess.hashed_ngrams import HashedNgrams
from potstill.runtime.preprocess.log_mel import LogMel
from potstill.runtime.preprocess.pixels import Pixels
from potstill.runtime.preprocess.text_tokens import TextTokens

KINDS: dict[str, type[TextTokens | HashedNgrams | Pixels | LogMel]] = {
    "text_tokens": TextTokens,
    "hashed_ngrams": HashedNgrams,
    "pixels": Pixels,
    "log_mel": LogMel,
}

__all__ = ["KINDS", "HashedNgrams", "LogMel", "Pixels", "Preprocessor", "TextTokens"]
