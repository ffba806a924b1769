"""A start for small text students: what the encoder says of each piece alone, made narrow.

In the manner of model2vec (Tulkens & van Dongen 2024): every piece of the vocabulary goes through the encoder once,
principal components make it narrow, and frequent pieces are weighted down (SIF, Arora et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from potstill.runtime.preprocess import TextTokens
from potstill.runtime.preprocess.text_tokens import tokenizer_size
from potstill.students.base import StudentContext
from potstill.students.bert import load_bert, mean_pool
from potstill.students.tokenizer import Unit, learn_tokenizer
from potstill.students.wordpiece import PretrainedEncoder, TrimmedVocabulary, piece_counts, trim_vocabulary
from potstill.types import FloatArray, Input

# Weight of a piece is a / (a + p) with p its share of all pieces.
SIF = 1e-3


@dataclass(frozen=True, kw_only=True)
class PieceEmbeddings:
    """A tokenizer with a vector for each of its pieces.

    Attributes:
        tokenizer_json: the tokenizer; [PAD] has id 0.
        table_VD: float32, V x D; row 0 is zero.
    """

    tokenizer_json: str
    table_VD: FloatArray


def piece_embeddings(
    context: StudentContext, *, width: int, max_length: int, vocabulary_size: int, unit: Unit = "auto"
) -> PieceEmbeddings:
    """The start for a run: the parent's, the pretrained encoder's, or small random vectors on a learned tokenizer."""
    if context.parent is not None:
        # The vectors come with the parent's other weights; here they only have their shape.
        tokenizer_json = context.parent.reading(TextTokens).tokenizer_json
        empty_VD = np.zeros((tokenizer_size(tokenizer_json), width), np.float32)
        return PieceEmbeddings(tokenizer_json=tokenizer_json, table_VD=empty_VD)
    texts = [str(text) for text in context.transfer_inputs]
    if context.encoder is not None:
        return _from_encoder(context.encoder, tuple(texts), width, max_length)
    tokenizer_json = _learned(tuple(texts), vocabulary_size, unit)
    from tokenizers import Tokenizer

    random = np.random.default_rng(context.seed)
    size = Tokenizer.from_str(tokenizer_json).get_vocab_size()
    table_VD = random.normal(0, 0.5, (size, width)).astype(np.float32)
    table_VD[0] = 0
    return PieceEmbeddings(tokenizer_json=tokenizer_json, table_VD=table_VD)


@lru_cache(maxsize=4)
def _learned(texts: tuple[str, ...], vocabulary_size: int, unit: Unit) -> str:
    return learn_tokenizer(texts, vocabulary_size=vocabulary_size, unit=unit)


# The same start serves every trial of student and control, so it is made once in a process.
@lru_cache(maxsize=4)
def _from_encoder(encoder: PretrainedEncoder, texts: tuple[str, ...], width: int, max_length: int) -> PieceEmbeddings:
    trimmed = trim_vocabulary(encoder.tokenizer_json, texts, max_length=max_length)
    table_VD = _encode_pieces(encoder, trimmed)
    table_VD = _principal_components(table_VD, width) * _weights(trimmed, texts, max_length)[:, None]
    table_VD *= 0.5 / max(float(table_VD.std()), 1e-6)
    table_VD[0] = 0
    return PieceEmbeddings(tokenizer_json=trimmed.tokenizer_json, table_VD=table_VD.astype(np.float32))


@torch.no_grad()
def _encode_pieces(encoder: PretrainedEncoder, trimmed: TrimmedVocabulary) -> FloatArray:
    """Each piece between [CLS] and [SEP] through the encoder, mean-pooled: V x D."""
    module = load_bert(encoder, old_ids=trimmed.old_ids).eval()
    pieces = torch.arange(len(trimmed.old_ids))
    begin, end = torch.full_like(pieces, 2), torch.full_like(pieces, 3)
    ids_V3 = torch.stack([begin, pieces, end], dim=1)
    ids_V3[0, 1] = 1  # [PAD] alone can't be looked at
    parts = [mean_pool(module(ids)[-1], ids) for ids in ids_V3.split(512)]  # type: ignore[no-untyped-call]
    table_VD: FloatArray = torch.cat(parts).numpy()
    return table_VD


def _principal_components(table_VD: FloatArray, width: int) -> FloatArray:
    """The first `width` principal components; the sign of each is fixed by its largest entry."""
    centred = table_VD - table_VD.mean(0)
    _, _, components = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    components = components[:width]
    signs = np.sign(components[np.arange(len(components)), np.abs(components).argmax(1)])
    reduced: FloatArray = centred @ (components * signs[:, None]).T
    if reduced.shape[1] < width:
        reduced = np.pad(reduced, ((0, 0), (0, width - reduced.shape[1])))
    return reduced


def _weights(trimmed: TrimmedVocabulary, texts: Sequence[Input], max_length: int) -> FloatArray:
    encoded = TextTokens(tokenizer_json=trimmed.tokenizer_json, max_length=max_length).encode(texts)
    share = piece_counts(encoded, len(trimmed.old_ids)) / max(sum(map(len, encoded)), 1)
    weights: FloatArray = SIF / (SIF + share)
    return weights
