"""A tokenizer learned from the texts, for languages and jargon that have no pretrained one at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from potstill.files import digest, write_atomic
from potstill.students.wordpiece import SPECIAL_PIECES


def learn_tokenizer(texts: Sequence[str], *, vocabulary_size: int) -> str:
    """Learns a WordPiece tokenizer and returns its JSON; [PAD] has id 0.

    NFC and lower case are all the normalising there is: splitting off accents, as BERT does, would take Hangul
    syllables apart.
    """
    from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = WordPieceTrainer(
        vocab_size=vocabulary_size, special_tokens=list(SPECIAL_PIECES), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", begin), ("[SEP]", end)]
    )
    return str(tokenizer.to_str())


def settled_tokenizer(folder: Path, texts: Sequence[str], *, vocabulary_size: int) -> str:
    """A learned tokenizer, kept in a folder: learning the same twice breaks ties in another way each time."""
    path = folder / f"tokenizer-{digest([vocabulary_size, *texts])[:12]}.json"
    if not path.exists():
        write_atomic(path, learn_tokenizer(texts, vocabulary_size=vocabulary_size).encode())
    return path.read_text("utf-8")
