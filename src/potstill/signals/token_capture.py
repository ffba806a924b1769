"""Asks a teacher for token signals that are not in the store yet. T tokens of a sample."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from potstill.errors import StoreError
from potstill.signals.store import Entry, Store
from potstill.signals.tokens.codec import TokenCodec
from potstill.signals.tokens.format import TokenFormat
from potstill.signals.tokens.record import TokenRecord
from potstill.types import Progress


@dataclass(frozen=True, kw_only=True)
class TokenSample:
    """What a teacher is given: a prompt that it answers, or a prompt with an answer that it scores.

    Attributes:
        text: as the template renders it.
        ids: its tokens.
        first: the first token that is scored; `len(ids)` asks for an answer.
    """

    text: str
    ids: Sequence[int]
    first: int

    def digest(self) -> bytes:
        """SHA-256 of text, tokens and where scoring begins: what a record is found by, whatever its place in a file."""
        ids = np.asarray(self.ids, "<u4").tobytes()
        text = self.text.encode()
        return hashlib.sha256(b"%d %d %d\n" % (self.first, len(ids), len(text)) + ids + text).digest()


@dataclass(frozen=True, kw_only=True)
class TokenPart:
    """What a teacher said about some samples, as soon as it is known.

    Attributes:
        records: position of the sample -> what was said.
        refused: position -> why that answer can't be used.
        cost: in the currency of the price given; 0 for a local model.
        num_calls: calls made, retries included.
        num_tokens: tokens billed.
    """

    records: Mapping[int, TokenRecord]
    refused: Mapping[int, str] = field(default_factory=dict)
    cost: float = 0.0
    num_calls: int = 0
    num_tokens: int = 0


class TokenTeacher(Protocol):
    """A model that is asked once for what it says token by token."""

    @property
    def form(self) -> TokenFormat:
        """Kind of signal, tokenizer, template and vocabulary."""
        ...

    def identity(self) -> dict[str, Any]:
        """Everything else that could change an answer, as JSON values."""
        ...

    def answer_tokens(self, samples: Sequence[TokenSample]) -> Iterator[TokenPart]:
        """Answers or scores all samples, in any order, in parts that the caller keeps as they come.

        Raises:
            TeacherUnavailableError: it can't be reached; parts that were yielded stay valid.
            BudgetError: the next call would pass the budget; parts that were yielded stay valid.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class TokenCapture:
    """What the teacher said, and what it took to know. Records stay packed until they are looked at.

    Attributes:
        form: of the records.
        num_asked: distinct samples asked for now.
        num_reused: distinct samples whose answers lay in the store.
        num_refused: reason -> distinct samples without a usable answer.
        num_calls: calls made now.
        num_tokens: tokens billed now.
        cost: money spent now.
        cpu_seconds: of asking.
    """

    form: TokenFormat
    num_asked: int
    num_reused: int
    num_refused: Mapping[str, int]
    num_calls: int
    num_tokens: int
    cost: float
    cpu_seconds: float
    _samples: Sequence[TokenSample] = field(repr=False)
    _rows: Mapping[bytes, bytes] = field(repr=False)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, position: int) -> TokenRecord | None:
        """The record of the sample there, None where the answer was refused.

        Raises:
            StoreError: the record is of other tokens.
        """
        sample = self._samples[position]
        row = self._rows.get(sample.digest())
        if row is None:
            return None
        record = TokenCodec(self.form).decode(row)
        if record.ids[: len(sample.ids)].tolist() != list(sample.ids):
            raise StoreError(
                f"the stored answer of sample {position} is of other tokens. Nothing was learned from it. Run "
                "`potstill store gc --damaged`, and report this if it comes again."
            )
        return record

    def __iter__(self) -> Iterator[TokenRecord | None]:
        return (self[i] for i in range(len(self)))

    def spend(self) -> dict[str, Any]:
        """The counts as JSON values."""
        names = ("num_asked", "num_reused", "num_refused", "num_calls", "num_tokens", "cost", "cpu_seconds")
        return {name: getattr(self, name) for name in names}


def capture_tokens(
    teacher: TokenTeacher, samples: Sequence[TokenSample], store: Store, progress: Progress
) -> TokenCapture:
    """Returns the teacher's records of all samples; equal samples are asked for once.

    Every answer is on disk before the next is waited for, so a kill loses at most what was in flight.

    Raises:
        TeacherUnavailableError: what was answered so far is kept.
        BudgetError: what was answered so far is kept.
        StoreError: kept answers are damaged, or a record isn't what the teacher promised.
    """
    started = time.process_time()
    entry = store.token_entry(teacher.identity(), teacher.form)
    entry.adopt()
    rows, refused = entry.rows(), entry.refused()
    digests = [sample.digest() for sample in samples]
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    missing = [i for d, i in sorted(first.items(), key=lambda item: item[1]) if d not in rows and d not in refused]
    progress.stage("capture", len(missing))
    spent = Counter[str]()
    if missing:
        spent = _ask(teacher, [samples[i] for i in missing], entry, progress)
        rows, refused = entry.rows(), entry.refused()
    reasons = Counter(refused[d] for d in first if d in refused and d not in rows)
    return TokenCapture(
        form=teacher.form,
        num_asked=len(missing),
        num_reused=len(first) - len(missing),
        num_refused=dict(reasons),
        num_calls=int(spent["calls"]),
        num_tokens=int(spent["tokens"]),
        cost=float(spent["cost"]),
        cpu_seconds=round(time.process_time() - started, 3),
        _samples=samples,
        _rows=rows,
    )


def _ask(teacher: TokenTeacher, samples: Sequence[TokenSample], entry: Entry, progress: Progress) -> Counter[str]:
    """Keeps every part as it comes; returns what was spent."""
    spent: Counter[str] = Counter()
    codec = TokenCodec(teacher.form)
    with entry.write() as writer:
        for part in teacher.answer_tokens(samples):
            kept = {samples[i].digest(): codec.encode(record) for i, record in part.records.items()}
            writer.keep_rows(kept, {samples[i].digest(): reason for i, reason in part.refused.items()})
            for name, count in (("calls", part.num_calls), ("tokens", part.num_tokens), ("cost", part.cost)):
                spent[name] += count  # type: ignore[assignment]
            progress.advance(len(part.records) + len(part.refused))
    return spent
