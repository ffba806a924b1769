"""A tokenizer learned from the texts, for languages and jargon that have no pretrained one at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from potstill.students.word_pieces import learn_pieces
from potstill.students.wordpiece import SPECIAL_PIECES


def learn_tokenizer(texts: Sequence[str], *, vocabulary_size: int) -> str:
    """Learns a WordPiece tokenizer and returns its JSON; [PAD] has id 0. The same texts give the same tokenizer.

    NFC and lower case are all the normalising there is: splitting off accents, as BERT does, would take Hangul
    syllables apart.
    """
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
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
    tokenizer.add_special_tokens(list(SPECIAL_PIECES))
    begin, end = vocabulary["[CLS]"], vocabulary["[SEP]"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", begin), ("[SEP]", end)]
    )
    return str(tokenizer.to_str())
