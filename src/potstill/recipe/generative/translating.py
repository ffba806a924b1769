"""What the teacher said, told in the student's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from potstill.data.prompts import Chat
from potstill.errors import DataError, StoreError
from potstill.losses.tokens import HeadTarget, SparseTarget
from potstill.recipe.generative.cutting import Cut
from potstill.recipe.generative.teaching import Asked, Tuned
from potstill.signals.tokens import TokenRecord, align_record
from potstill.training.chat_rows import ChatRow
from potstill.types import IntArray


@dataclass(frozen=True, kw_only=True)
class Translated:
    """The teacher's answers as rows, and what became of its signals.

    Attributes:
        rows: one an answer.
        num_compared: rows with something to compare; the others teach by their text alone.
        num_places: tokens of these that have a signal.
        num_tokens: tokens of all rows' answers.
    """

    rows: Sequence[ChatRow]
    num_compared: int
    num_places: int
    num_tokens: int

    def to_json(self) -> dict[str, Any]:
        """Counts as JSON values."""
        share = self.num_places / self.num_tokens if self.num_tokens else 0.0
        return {"num_rows": len(self.rows), "num_compared": self.num_compared, "token_share": round(share, 4)}


@dataclass(frozen=True)
class Translator:
    """From a teacher's tokens to those of a student.

    Attributes:
        tuned: the teacher.
        cut: the student.
    """

    tuned: Tuned
    cut: Cut

    @cached_property
    def new_ids(self) -> IntArray:
        """For each id of the teacher that of the student, -1 for what it lacks: all where they are other tokens."""
        if self.tuned.shares_ids:
            return self.cut.new_ids()
        model = self.tuned.base if self.tuned.model is None else self.tuned.model
        return np.full(int(model.get_input_embeddings().weight.shape[0]), -1)

    @cached_property
    def head(self) -> Tensor:
        """The teacher's, in fp32: the rows that are tokens of the student, or all its tokens where these are others."""
        head: Tensor = self.tuned.model.lm_head.weight.detach().float()
        if not self.tuned.shares_ids:
            return head[: len(self.tuned.chat.tokenizer)]
        old_ids = self.cut.old_ids
        return head if old_ids is None else head[torch.from_numpy(old_ids).to(head.device)]

    def rows(self, chats: Sequence[Chat], asked: Asked, *, with_signal: bool) -> Translated:
        """The teacher's answers for the student to learn from.

        Args:
            chats: that were asked.
            asked: what the teacher said.
            with_signal: with its alternatives; otherwise the texts alone.

        Raises:
            DataError: alternatives are asked for, and not one answer can be compared.
        """
        rows = []
        for i, (chat, record) in enumerate(zip(chats, asked.capture, strict=True)):
            text, spelled = asked.texts[i], asked.spelled[i]
            if record is None or text is None or spelled is None:
                continue
            row = ChatRow(prompt=self.cut.chat.prompt(chat.to_json()), answer=self.cut.chat.answer(text))
            if self.tuned.shares_ids:
                row = self._renumbered(record, row, with_signal=with_signal)
            elif with_signal:
                row = self._aligned(record, row, spelled)
            rows.append(row)
        found = Translated(
            rows=rows,
            num_compared=sum(row.target is not None for row in rows),
            num_places=sum(sum(row.is_told) for row in rows),
            num_tokens=sum(len(row.answer) for row in rows),
        )
        if with_signal and rows and not found.num_compared:
            raise DataError(
                "no answer of the teacher can be compared with the student's tokens, so its probabilities would teach "
                "nothing. Set training.signal=text."
            )
        return found

    def _renumbered(self, record: TokenRecord, row: ChatRow, *, with_signal: bool) -> ChatRow:
        """In the teacher's own tokens; as it is where the student lacks one, and spells the text in its own way."""
        ids = self.new_ids[record.ids[record.first :]]
        if len(ids) == 0 or (ids < 0).any():
            return row
        target = self._target(record) if with_signal else None
        if isinstance(target, SparseTarget):
            target = target.renumber(torch.from_numpy(self.new_ids))
        return replace(row, answer=ids.tolist(), target=target)

    def _aligned(self, record: TokenRecord, row: ChatRow, spelled: str) -> ChatRow:
        """In the student's tokens, compared where one of both begins at the same byte; as it is where none can be."""
        answer = self.cut.chat.answer(spelled)
        try:
            teacher, student = pair_answers(record, self.cut.chat.byte_ends(answer[:-1]), len(spelled.encode()))
        except StoreError:  # bytes that are no text
            return row
        target = self._target(record)
        kept = torch.from_numpy(teacher)
        if isinstance(target, HeadTarget):
            target = replace(target, hidden=target.hidden[kept])
        else:
            tail = None if target.tail is None else target.tail[kept]
            target = replace(target, indices=target.indices[kept], logprobs=target.logprobs[kept], tail=tail)
        return replace(row, answer=answer, target=target, places=student.tolist())

    def _target(self, record: TokenRecord) -> SparseTarget | HeadTarget:
        """What a record says, in the teacher's vocabulary."""
        if record.hidden is not None:
            return HeadTarget(hidden=torch.from_numpy(record.hidden.astype(np.float32)), head=self.head)
        assert record.indices is not None and record.logprobs is not None, "a record of text"
        return SparseTarget(
            indices=torch.from_numpy(record.indices.astype(np.int64)),
            logprobs=torch.from_numpy(record.logprobs.astype(np.float32)),
            tail=None if record.tail is None else torch.from_numpy(record.tail.astype(np.float32)),
            sampled=record.tail is None,
        )


def pair_answers(record: TokenRecord, student_ends: IntArray, num_bytes: int) -> tuple[IntArray, IntArray]:
    """Tokens of both sides' answers that are predicted from the same text; the ends of both are such a pair.

    Args:
        record: the teacher's, its answer with the mark that ends it.
        student_ends: where the student's tokens end in the bytes of the answer, without the mark.
        num_bytes: of the answer.

    Returns:
        Rows of the record's signals, and for each the place among the student's tokens.

    Raises:
        StoreError: the answers are two texts.
    """
    begin = int(record.ends[record.first - 1]) if record.first else 0
    answer = TokenRecord(
        ids=record.ids[record.first : -1], ends=np.asarray(record.ends[record.first : -1], np.int64) - begin, first=0
    )
    found = align_record(answer, student_ends, num_bytes=num_bytes)
    ends = np.array([[record.num_signals - 1], [len(student_ends)]], np.int64)
    return np.concatenate([found.teacher, ends[0]]), np.concatenate([found.student, ends[1]])
