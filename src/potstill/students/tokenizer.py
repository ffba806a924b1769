"""A tokenizer learned from the texts, for languages and jargon that have no pretrained one at hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from potstill.students.word_pieces import learn_pieces
from potstill.students.wordpiece import SPECIAL_PIECES

Unit = Literal["auto", "pieces", "characters"]
# Letters of scripts that write a syllable or a word in one character: Hangul, kana and Han.
DENSE_SCRIPT = re.compile("[\uac00-\ud7a3\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
LEAST_COUNT = 2


def learn_tokenizer(texts: Sequence[str], *, vocabulary_size: int, unit: Unit = "auto") -> str:
    """Learns a tokenizer and returns its JSON; [PAD] has id 0. The same texts give the same tokenizer.

    NFC and lower case are all the normalising there is: splitting off accents, as BERT does, would take Hangul
    syllables apart.

    Args:
        texts: to learn from.
        vocabulary_size: largest number of pieces.
        unit: `pieces` learns parts of words (WordPiece), `characters` takes every character that occurs twice, spaces
            too. `auto` takes characters where most letters are syllables or words by themselves, as in Korean, which
            was better there (docs/log.md).
    """
    if unit == "characters" or (unit == "auto" and is_dense(texts)):
        return _character_tokenizer(texts, vocabulary_size)
    return _piece_tokenizer(texts, vocabulary_size)


def is_dense(texts: Sequence[str]) -> bool:
    """Whether at least half of the letters are of a script whose characters are syllables or words."""
    joined = "".join(texts[:: max(1, len(texts) // 2000)])
    num_letters = sum(character.isalpha() for character in joined)
    return 2 * len(DENSE_SCRIPT.findall(joined)) >= max(num_letters, 1)


def _character_tokenizer(texts: Sequence[str], vocabulary_size: int) -> str:
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel

    normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    common = sorted(c for c, count in counts.items() if count >= LEAST_COUNT)
    kept = sorted(common, key=lambda c: (-counts[c], c))[: vocabulary_size - len(SPECIAL_PIECES)]
    vocabulary = {piece: number for number, piece in enumerate([*SPECIAL_PIECES, *sorted(kept)])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), behavior="isolated")
    return _finished(tokenizer, vocabulary)


def _piece_tokenizer(texts: Sequence[str], vocabulary_size: int) -> str:
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordPiece

    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    pieces = learn_pieces(words, size=vocabulary_size - len(SPECIAL_PIECES))
    vocabulary = {piece: number for number, piece in enumerate([*SPECIAL_PIECES, *pieces])}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    return _finished(tokenizer, vocabulary)


def _finished(tokenizer: Any, vocabulary: dict[str, int]) -> str:
    """With its special pieces, and one of them at each end of a text."""
    from tokenizers import processors

    tokenizer.add_special_tokens(list(SPECIAL_PIECES))
    begin, end = vocabulary["[CLS]"], vocabulary["[SEP]"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", begin), ("[SEP]", end)]
    )
    return str(tokenizer.to_str())
