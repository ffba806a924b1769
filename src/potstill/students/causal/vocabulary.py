"""A byte-level BPE tokenizer with the pieces that the texts use, closed under the merges that make them."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import ConfigurationError
from potstill.students.wordpiece import TrimmedVocabulary, renumber, used_pieces
from potstill.types import IntArray

Pair = tuple[str, str]
NO_LIMIT = 1 << 30


def trim_bpe(tokenizer_json: str, texts: Iterable[str], *, keep: Sequence[str] = ()) -> TrimmedVocabulary:
    """Keeps the pieces that the texts use, their merge ancestors, the single bytes it has and all added tokens.

    BPE joins the pair of lowest rank first. What it does inside a piece of its result is what it does to that piece
    alone, so with every piece on that way kept, and every merge between kept pieces, it takes the same steps on these
    texts: they are cut exactly as before. Single bytes let any other text be spelled. Without the ancestors a library
    that follows the merges (llama.cpp) falls back to smaller pieces where one that looks only for whole words doesn't.

    Args:
        tokenizer_json: of `tokenizers`.
        texts: as the model sees them, chat template and all.
        keep: further pieces, in the vocabulary's own spelling.

    Returns:
        The rewritten tokenizer, and for each new id the id in the original; the order of ids is kept.

    Raises:
        ConfigurationError: not a byte-level BPE tokenizer, or a piece to keep that it doesn't have.
    """
    from tokenizers import Tokenizer

    content = json.loads(tokenizer_json)
    model = content["model"]
    vocabulary: dict[str, int] = model["vocab"]
    _check_byte_level(content, vocabulary, keep)
    merges = [_pair(merge) for merge in model["merges"]]
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    by_id = {number: piece for piece, number in vocabulary.items()}
    used = used_pieces(Tokenizer.from_str(tokenizer_json), texts, max_length=NO_LIMIT)
    added = {token["content"] for token in content["added_tokens"]}
    kept = {by_id[number] for number in used if number in by_id} | set(keep) | (_byte_pieces() & set(vocabulary))
    kept = _with_ancestors(kept - added, ranks)
    all_ids = vocabulary | {token["content"]: token["id"] for token in content["added_tokens"]}
    ordered = sorted(kept | added, key=all_ids.__getitem__)
    new_ids = {piece: number for number, piece in enumerate(ordered)}
    model["vocab"] = {piece: new_ids[piece] for piece in ordered if piece in vocabulary}
    model["merges"] = [list(pair) for pair in merges if {*pair, "".join(pair)} <= kept]
    content["added_tokens"] = [{**token, "id": new_ids[token["content"]]} for token in content["added_tokens"]]
    renumber(content.get("post_processor"), new_ids)
    content["truncation"] = content["padding"] = None
    return TrimmedVocabulary(
        tokenizer_json=json.dumps(content, ensure_ascii=False),
        old_ids=np.array([all_ids[piece] for piece in ordered], np.int64),
    )


def trim_tokenizer(tokenizer: Any, texts: Iterable[str], *, keep: Sequence[str] = ()) -> tuple[Any, IntArray]:
    """A Hugging Face tokenizer on a trimmed vocabulary, and for each new id the old one.

    Special tokens and the chat template stay; the result is saved and loaded like any other.

    Raises:
        ConfigurationError: see `trim_bpe`.
    """
    trimmed = trim_bpe(tokenizer.backend_tokenizer.to_str(), texts, keep=keep)
    return with_vocabulary(tokenizer, trimmed.tokenizer_json), trimmed.old_ids


def with_vocabulary(tokenizer: Any, tokenizer_json: str) -> Any:
    """The same Hugging Face tokenizer around another `tokenizer.json`."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    specials = {name: str(value) for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizer_json),
        chat_template=tokenizer.chat_template,
        model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        clean_up_tokenization_spaces=False,
        **specials,
    )


def tokenizer_json_of(tokenizer: Any) -> str:
    """The `tokenizer.json` that a Hugging Face tokenizer is saved as."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return (Path(folder) / "tokenizer.json").read_text("utf-8")


def _check_byte_level(content: dict[str, Any], vocabulary: dict[str, int], keep: Sequence[str]) -> None:
    kind = content["model"].get("type")
    if kind != "BPE" or '"ByteLevel"' not in json.dumps(content["decoder"]):
        raise ConfigurationError(
            f"the tokenizer is {kind} and not on bytes; only byte-level BPE vocabularies can be trimmed, because "
            "unseen text must stay spellable. Keep the whole vocabulary (trim_vocabulary: false)."
        )
    unknown = [piece for piece in keep if piece not in vocabulary]
    if unknown:
        raise ConfigurationError(f"the tokenizer has no piece {', '.join(map(repr, unknown))} that could be kept")


def _byte_pieces() -> set[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return set(ByteLevel.alphabet())


def _pair(merge: str | Sequence[str]) -> Pair:
    """Older files write a merge as one string."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _with_ancestors(pieces: set[str], ranks: dict[Pair, int]) -> set[str]:
    """The pieces and everything that stands on BPE's way to them."""
    found = set(pieces)
    for piece in pieces:
        parts = list(piece)
        while len(parts) > 1:
            pairs = itertools.pairwise(parts)
            rank, at = min((ranks.get(pair, NO_LIMIT), i) for i, pair in enumerate(pairs))
            if rank == NO_LIMIT:
                break  # a whole word that no merge makes (`ignore_merges`)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            found.add(parts[at])
    return found
