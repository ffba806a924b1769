"""Token records out of the log-probabilities of an API: by id where both have the same tokens, by rank where not.

A tokens of an answer, K kept alternatives.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.signals.label_masses import Tokens, checked_tokens
from potstill.signals.token_capture import TokenSample
from potstill.signals.tokens import TokenRecord
from potstill.teachers.openai_request import RefusedError

if TYPE_CHECKING:
    from potstill.students.causal.chat import ChatTokens
    from potstill.types import FloatArray, IntArray

# A place that the server left empty holds a token of this log-probability: nothing to speak of.
EMPTY = -15.9
# Probabilities of one place may sum to somewhat more than 1: servers round them.
ROUNDING = 0.01
BROKEN = "broken logprobs"
OTHER_TEXT = "the log-probabilities are of another text than the answer, so nothing tells what they mean"
MISSING = (
    "log-probabilities are missing: the server or the model gives none (set teacher.top_logprobs=0 to learn from texts)"
)


@dataclass(frozen=True, kw_only=True)
class AnswerReader:
    """Makes records of answers.

    Attributes:
        chat: tokens of the student's base.
        width: alternatives kept with each token; 0 keeps the text alone.
        by_rank: keep how likely alternatives were and not which; the teacher's tokens may be any.
    """

    chat: ChatTokens
    width: int
    by_rank: bool

    @cached_property
    def _pieces(self) -> Mapping[bytes, int]:
        return pieces_of(self.chat)

    def read(self, sample: TokenSample, text: str, logprobs: Any) -> TokenRecord:
        """The record of an answer.

        Args:
            sample: the prompt.
            text: the answer, without space around it.
            logprobs: of its tokens, as the API gives them (`choices[0].logprobs`).

        Raises:
            RefusedError: log-probabilities are wanted, and these can't be used.
        """
        if not self.width:
            return text_record(sample, self.chat, text)
        if self.by_rank:
            return rank_record(sample, self.chat, text, logprobs, self.width)
        return id_record(sample, self.chat, text, logprobs, self._pieces, self.width)


def pieces_of(chat: ChatTokens) -> dict[bytes, int]:
    """Bytes of each ordinary token -> its id."""
    from tokenizers.pre_tokenizers import ByteLevel

    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    byte_of = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
    assert set(byte_of) == set(ByteLevel.alphabet()), "the alphabet of byte-level tokenizers"
    added = set(chat.tokenizer.added_tokens_decoder)
    vocabulary = chat.tokenizer.get_vocab()
    ordinary = {piece: i for piece, i in vocabulary.items() if i not in added and all(c in byte_of for c in piece)}
    return {bytes(byte_of[c] for c in piece): i for piece, i in ordinary.items()}


def text_record(sample: TokenSample, chat: ChatTokens, text: str) -> TokenRecord:
    """An answer of which only the text is known."""
    return TokenRecord(
        ids=np.array(sample.ids, np.int32), ends=chat.byte_ends(sample.ids), first=len(sample.ids), text=text
    )


def id_record(
    sample: TokenSample, chat: ChatTokens, text: str, logprobs: Any, pieces: Mapping[bytes, int], width: int
) -> TokenRecord:
    """The alternatives in the vocabulary of the student's base; those that it lacks go to the rest.

    That the answer ended is known, and how likely that was is not: the end is taken as certain.

    Args:
        sample: the prompt.
        chat: tokens of the student's base.
        text: the answer, without space around it.
        logprobs: of the answer's tokens, as the API gives them (`choices[0].logprobs`).
        pieces: of `pieces_of`.
        width: alternatives kept with each token.

    Raises:
        RefusedError: no log-probabilities, those of another text, or tokens that this vocabulary doesn't have.
    """
    answer, kept = _named(chat, text, logprobs, pieces)
    rows = [_filled(_by_id(entry, pieces), width, len(chat.tokenizer)) for entry in kept]
    rows.append(_filled({chat.end: 0.0}, width, len(chat.tokenizer)))
    ids = [*answer, chat.end]
    ends = chat.byte_ends(sample.ids)
    return _record(
        sample,
        ids,
        np.concatenate([ends, chat.byte_ends(ids, int(ends[-1]))]),
        np.array([[i for i, _ in row] for row in rows], np.int32),
        np.array([[value for _, value in row] for row in rows], np.float32),
    )


def share_with_ids(chat: ChatTokens, answers: Sequence[tuple[str, Any]]) -> float:
    """Of answers with their log-probabilities, how many are cut as this tokenizer cuts them: near 1 where it is theirs.

    Args:
        chat: tokens of the student's base.
        answers: each without space around it, with its log-probabilities.
    """
    pieces, num_named = pieces_of(chat), 0
    for text, logprobs in answers:
        with contextlib.suppress(RefusedError):
            _named(chat, text, logprobs, pieces)
            num_named += 1
    return num_named / len(answers) if answers else 0.0


def _named(chat: ChatTokens, text: str, logprobs: Any, pieces: Mapping[bytes, int]) -> tuple[list[int], Tokens]:
    """Ids of the answer's tokens, and these as they were listed."""
    kept = [entry for entry in _entries(logprobs) if _bytes_of(entry) not in (b"", chat.tokenizer.eos_token.encode())]
    spelled = b"".join(map(_bytes_of, kept)).decode("utf-8", "replace")
    answer = chat.ids(spelled)
    # Pieces of another tokenizer may all be known here; it shows in how they cut the answer.
    if not kept or answer != [pieces.get(_bytes_of(entry)) for entry in kept]:
        raise RefusedError(
            "log-probabilities of another tokenizer than the student's (set training.loss=universal_logit to compare "
            "by rank, or teacher.top_logprobs=0 to learn from texts)"
        )
    if spelled.strip() != text:
        raise RefusedError(OTHER_TEXT)
    return answer, kept


def rank_record(sample: TokenSample, chat: ChatTokens, text: str, logprobs: Any, width: int) -> TokenRecord:
    """How sure the teacher was, from its likeliest token on, for a student with other tokens.

    The teacher's ids are not known and not needed: `indices` are ranks, and where its tokens end stands in bytes of the
    answer, which is what both sides share. Its end is taken as certain, as in `id_record`.

    Args:
        sample: the prompt.
        chat: tokens of the student's base, that the prompt's ids are of.
        text: the answer, without space around it.
        logprobs: of the answer's tokens, as the API gives them (`choices[0].logprobs`).
        width: ranks kept with each token.

    Raises:
        RefusedError: no log-probabilities or no alternatives, or tokens that spell another text than the answer.
    """
    rows, ends_A = _ranked(text, logprobs, width)
    rows.append(_padded([0.0], width))
    prompt_ends = chat.byte_ends(sample.ids)
    ends_A = ends_A + int(prompt_ends[-1])
    return _record(
        sample,
        [chat.end] * len(rows),
        np.concatenate([prompt_ends, ends_A, ends_A[-1:]]),
        np.tile(np.arange(width, dtype=np.int32), (len(rows), 1)),
        np.array(rows, np.float32),
        text=text,
    )


def can_be_ranked(text: str, logprobs: Any) -> bool:
    """Whether `rank_record` can be made of an answer."""
    try:
        return bool(_ranked(text, logprobs, 1))
    except RefusedError:
        return False


def _ranked(text: str, logprobs: Any, width: int) -> tuple[list[list[float]], IntArray]:
    """Log-probabilities of each of the answer's tokens by rank, and where it ends in the answer's bytes."""
    try:
        kept, ends_A = _spelling(text.encode(), _entries(logprobs))
    except UnicodeEncodeError:  # half a character, as JSON can say it
        raise RefusedError(OTHER_TEXT) from None
    return [_by_rank(entry, width) for entry in kept], ends_A


def _record(
    sample: TokenSample, ids: Sequence[int], ends: IntArray, indices: IntArray, logprobs: FloatArray, text: str = ""
) -> TokenRecord:
    rest_A = np.clip(1 - np.exp(logprobs.astype(np.float64)).sum(1), 1e-12, 1.0)
    return TokenRecord(
        ids=np.array([*sample.ids, *ids], np.int32),
        ends=ends,
        first=len(sample.ids),
        text=text,
        indices=indices,
        logprobs=logprobs,
        tail=np.log(rest_A).astype(np.float32),
    )


def _entries(logprobs: Any) -> Tokens:
    """The answer's tokens, each with its alternatives.

    Raises:
        RefusedError: there are none, or no such list.
    """
    found = checked_tokens(logprobs)
    if found is None:
        raise RefusedError(BROKEN)
    if not found:
        raise RefusedError(MISSING)
    return found


def _spelling(text: bytes, listed: Tokens) -> tuple[Tokens, IntArray]:
    """The tokens that make up the answer, and where each ends in it.

    Space around the answer is no part of it, and one more token may mark its end.

    Raises:
        RefusedError: they spell something else.
    """
    pieces = [_bytes_of(entry) for entry in listed]
    spelled, ends = b"".join(pieces), np.cumsum([len(piece) for piece in pieces])
    begin = spelled.find(text)
    num_kept = int(np.searchsorted(ends, begin + len(text))) + 1
    further = [piece for piece in pieces[num_kept:] if piece.strip()]
    around = spelled[: max(begin, 0)] + spelled[begin + len(text) : sum(map(len, pieces[:num_kept]))]
    if begin < 0 or around.decode("utf-8", "replace").strip() or len(further) > 1:
        raise RefusedError(OTHER_TEXT)
    return listed[:num_kept], np.clip(ends[:num_kept] - begin, 0, len(text))


def _bytes_of(entry: Mapping[str, Any]) -> bytes:
    given = entry.get("bytes")
    try:
        # A number would make so many zeros of itself.
        return bytes(list(given)) if given else str(entry["token"]).encode()
    except (TypeError, ValueError):
        raise RefusedError(BROKEN) from None


def _logprob(entry: Mapping[str, Any]) -> float:
    return max(min(float(entry["logprob"]), 0.0), EMPTY)


def _by_id(entry: Mapping[str, Any], pieces: Mapping[bytes, int]) -> dict[int, float]:
    found: dict[int, float] = {}
    for other in (entry, *(entry.get("top_logprobs") or [])):
        value, number = _logprob(other), pieces.get(_bytes_of(other))
        if number is not None:
            found[number] = value
    return found


def _by_rank(entry: Mapping[str, Any], width: int) -> list[float]:
    """The largest log-probabilities of a place; the token that was said counts too where it isn't among them.

    Raises:
        RefusedError: without alternatives nobody knows of which rank the token is.
    """
    others = entry.get("top_logprobs") or []
    if not others:
        raise RefusedError(MISSING)
    said = [] if any(_bytes_of(other) == _bytes_of(entry) for other in others) else [entry]
    values = sorted((_logprob(other) for other in [*others, *said]), reverse=True)
    if sum(map(math.exp, values)) > 1 + ROUNDING:
        raise RefusedError(BROKEN)
    return _padded(values[:width], width)


def _padded(values: Sequence[float], width: int) -> list[float]:
    return [*values, *[EMPTY] * (width - len(values))]


def _filled(found: Mapping[int, float], width: int, vocabulary_size: int) -> list[tuple[int, float]]:
    """The likeliest, and where there are fewer than `width`, tokens that were not named."""
    best = sorted(found.items(), key=lambda pair: -pair[1])[:width]
    spare = (i for i in range(vocabulary_size) if i not in found)
    return best + [(next(spare), EMPTY) for _ in range(width - len(best))]
