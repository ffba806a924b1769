"""Token signals for a student with another tokenizer: both texts are the same bytes, so their tokens meet there.

T tokens of the teacher, S tokens of the student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from potstill.errors import StoreError
from potstill.signals.tokens.record import TokenRecord
from potstill.types import IntArray


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Tokens of both sides that predict from the same place.

    Attributes:
        teacher: rows of the record's signals.
        student: the student's tokens that they predict, one for one.
        same_end: bool; whether both tokens also end at the same byte, so that they say the same.
        num_tokens: the student's tokens in the stretch with signals.
    """

    teacher: IntArray
    student: IntArray
    same_end: IntArray
    num_tokens: int

    @property
    def coverage(self) -> float:
        """Share of the student's tokens there that have a signal."""
        return len(self.student) / self.num_tokens if self.num_tokens else 0.0


def byte_ends(text: str, spans: Sequence[tuple[int, int]]) -> IntArray:
    """Where tokens end in the UTF-8 bytes of a text, from their spans in characters.

    A character that is cut into several tokens ends with the last of them; those before end where it begins. Tokens
    without characters (an end mark that is not in the text) end where the one before does.

    Args:
        text: that was tokenised.
        spans: start and end of each token in characters, as `tokenizers` gives its offsets.

    Raises:
        StoreError: spans that don't fit the text.
    """
    sizes = [len(character.encode("utf-8", "surrogatepass")) for character in text]
    at = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]) if sizes else np.zeros(1, np.int64)
    ends = np.zeros(len(spans), np.int64)
    for i, (start, end) in enumerate(spans):
        if not 0 <= start <= end <= len(text):
            raise StoreError(f"token {i} spans characters {start} to {end} of a text of {len(text)}")
        shares_character = i + 1 < len(spans) and end > start and spans[i + 1][0] < end
        ends[i] = at[end - 1] if shares_character else at[end]
    return np.maximum.accumulate(ends) if len(ends) else ends


def align_record(record: TokenRecord, student_ends: IntArray, *, num_bytes: int) -> Alignment:
    """Pairs tokens that begin at the same byte: both are predicted from the same text.

    Two pointers walk over the byte ends of both sides and meet where they are equal.

    Args:
        record: the teacher's.
        student_ends: where the student's tokens end in the UTF-8 bytes of the same rendered text, shape S.
        num_bytes: length of that text; both sides must end there.

    Raises:
        StoreError: the texts differ in length, ends run backwards, or no token begins where the teacher's do.
    """
    ends_T, ends_S = np.asarray(record.ends, np.int64), np.asarray(student_ends, np.int64)
    for side, ends in (("teacher", ends_T), ("student", ends_S)):
        if not len(ends) or ends[-1] != num_bytes or (np.diff(ends, prepend=0) < 0).any():
            last = int(ends[-1]) if len(ends) else 0
            raise StoreError(
                f"the {side}'s tokens end at byte {last} and the text at byte {num_bytes}: they are of two texts, and "
                "a student would learn noise. Render both with the same chat template, and give the record of this row."
            )
    starts_T, starts_S = np.concatenate([[0], ends_T[:-1]]), np.concatenate([[0], ends_S[:-1]])
    teacher, student, same_end = [], [], []
    t, s = record.first, int(np.searchsorted(ends_S, starts_T[record.first], side="right")) if record.num_signals else 0
    begin = s
    while t < len(ends_T) and s < len(ends_S):
        if starts_T[t] == starts_S[s] and ends_T[t] > starts_T[t] and ends_S[s] > starts_S[s]:
            teacher.append(t - record.first)
            student.append(s)
            same_end.append(ends_T[t] == ends_S[s])
        if ends_T[t] <= ends_S[s]:
            t += 1
            s += bool(ends_T[t - 1] == ends_S[s])
        else:
            s += 1
    if record.num_signals and not teacher:
        raise StoreError("no token of the student begins where one of the teacher's does, so nothing can be compared")
    return Alignment(
        teacher=np.array(teacher, np.int64),
        student=np.array(student, np.int64),
        same_end=np.array(same_end, bool),
        num_tokens=len(ends_S) - begin if record.num_signals else 0,
    )
