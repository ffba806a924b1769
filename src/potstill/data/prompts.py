"""Rows for a student that writes: a prompt (or the messages of a chat) and the answer that is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from potstill.data.duplicates import find_leaks
from potstill.data.readers import Encoding, read_table
from potstill.data.rows import Rows
from potstill.data.splits import stratified_split
from potstill.data.table import Table, as_table
from potstill.errors import ConfigurationError, DataError
from potstill.files import canonical_json, digest
from potstill.types import Finding, IntArray

ROLES = ("system", "developer", "user", "assistant", "tool")
# A set of answers is closed, and a classifier could give them too, when every answer stands for several rows.
MOST_CLOSED_ANSWERS = 200
LEAST_ROWS_AN_ANSWER = 5


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PromptOptions:
    """The data of a run whose student writes. Paths are read relative to the working folder.

    Attributes:
        train: rows with prompt and answer: CSV, TSV, JSONL or Parquet. Rows without an answer count as unlabelled.
        test: rows that judge; empty holds some of `train` out.
        unlabelled: further prompts, that the teacher answers.
        prompt: column of the prompt.
        answer: column of the answer.
        messages: column of a chat, in place of the other two: a list of `role` and `content` whose last assistant turn
            is the answer.
        dev_share: share of the training rows that choose settings.
        test_share: share held out when there is no test file.
        leakage: what happens to training rows whose prompt stands in test too, exactly or nearly.
        near_duplicate: similarity of character 5-gram sets from which two prompts count as near duplicates, in (0, 1].
        encoding: of CSV and JSONL.
    """

    train: str = ""
    test: str = ""
    unlabelled: str = ""
    prompt: str = "prompt"
    answer: str = "answer"
    messages: str = "messages"
    dev_share: float = 0.1
    test_share: float = 0.2
    leakage: Literal["remove", "keep", "fail"] = "remove"
    near_duplicate: float = 0.9
    encoding: Encoding = "auto"

    def __post_init__(self) -> None:
        for name in ("dev_share", "test_share"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigurationError(f"data.{name} is {getattr(self, name)}; it is a share, between 0 and 1")
        if not 0 < self.near_duplicate <= 1:
            raise ConfigurationError(f"data.near_duplicate is {self.near_duplicate}; it must be above 0, at most 1")


@dataclass(frozen=True, slots=True)
class Chat:
    """What a model is asked, and the answer that is wanted.

    Attributes:
        messages: (role, content) of every turn before the answer.
        answer: None where nobody gave one.
        columns: further columns of the row, such as a teacher's recorded answer.
    """

    messages: tuple[tuple[str, str], ...]
    answer: str | None = None
    columns: Mapping[str, Any] | None = None

    @property
    def prompt(self) -> str:
        """The last turn before the answer, for people."""
        return self.messages[-1][1]

    def to_json(self) -> list[dict[str, str]]:
        """The messages as an API takes them."""
        return [{"role": role, "content": content} for role, content in self.messages]

    def digest(self) -> bytes:
        """SHA-256 of the messages: the identity under which a teacher's answer is kept."""
        return bytes.fromhex(digest(self.to_json()))


@dataclass(frozen=True, kw_only=True)
class PromptData:
    """The rows of a run: `train`, `dev` and `test` have answers; `unlabelled` has none.

    Attributes:
        findings: what was noticed and done.
        digest: SHA-256 of all rows with their places.
    """

    train: Sequence[Chat]
    dev: Sequence[Chat]
    test: Sequence[Chat]
    unlabelled: Sequence[Chat]
    findings: tuple[Finding, ...]
    digest: str

    @property
    def closed_answers(self) -> tuple[str, ...]:
        """The answers, sorted, where they are a closed set that a classifier could give; else empty."""
        given = [chat.answer or "" for chat in (*self.train, *self.dev)]
        distinct = sorted(set(given))
        closed = 2 <= len(distinct) <= min(MOST_CLOSED_ANSWERS, len(given) / LEAST_ROWS_AN_ANSWER)
        return tuple(distinct) if closed else ()


def load_prompts(options: PromptOptions, *, tables: Mapping[str, Any] | None = None, seed: int = 0) -> PromptData:
    """Reads, checks and splits.

    Args:
        options: which rows and columns.
        tables: `train`, `test`, `unlabelled` as Python objects in place of files, see `as_table`.
        seed: of the splits.

    Raises:
        DataError: the rows can't be used as they are.
    """
    findings: list[Finding] = []
    found = {name: _chats(_table(options, tables or {}, name), options) for name in ("train", "test", "unlabelled")}
    train = [chat for chat in found["train"] if chat.answer is not None]
    blank = [chat for chat in found["train"] if chat.answer is None]
    if len(train) < 4:
        raise DataError(
            f"{options.train or 'the training data'} holds {len(train)} rows with an answer; a student needs them to "
            f"learn from, to choose on and to be judged on. Name the columns with --prompt and --answer (now "
            f"{options.prompt!r} and {options.answer!r}), or give chats in a column {options.messages!r}."
        )
    train = list({(chat.messages, chat.answer): chat for chat in train}.values())
    if found["test"]:
        test = [chat for chat in found["test"] if chat.answer is not None]
        if not test:
            raise DataError(f"{options.test} holds no row with an answer, so nothing can be judged")
    else:
        train, test = _split(train, options.test_share, seed)
        findings.append(Finding("held_out", {"count": len(test), "share": options.test_share}))
    train = _without_leaks(train, test, options, "training", findings)
    asked = _without_leaks([*found["unlabelled"], *blank], test, options, "unlabelled", findings)
    train, dev = _split(train, options.dev_share, seed)
    known = {chat.messages for chat in (*train, *dev)}
    new = {chat.messages: replace(chat, answer=None) for chat in asked if chat.messages not in known}
    parts = {"train": train, "dev": dev, "test": test, "unlabelled": list(new.values())}
    listed = {name: [[chat.to_json(), chat.answer] for chat in chats] for name, chats in parts.items()}
    return PromptData(**parts, findings=tuple(findings), digest=digest(canonical_json(listed)))


def read_chats(path: Path, options: PromptOptions) -> list[Chat]:
    """All chats of a file.

    Raises:
        DataError: it can't be read, or lacks the columns.
    """
    return _chats(read_table(path, encoding=options.encoding), options)


def _table(options: PromptOptions, tables: Mapping[str, Any], name: str) -> Table | None:
    if tables.get(name) is not None:
        return as_table(tables[name], name)
    path = getattr(options, name)
    return read_table(Path(path), encoding=options.encoding) if path else None


def _chats(table: Table | None, options: PromptOptions) -> list[Chat]:
    """The chats of a table.

    Raises:
        DataError: a row whose messages are no chat; the message names its line.
    """
    if table is None:
        return []
    if options.messages in table.columns and options.prompt not in table.columns:
        lines = zip(table.column(options.messages), table.line_numbers.tolist(), strict=True)
        chats = [_from_messages(cell, f"{table.source}, line {line}") for cell, line in lines]
    else:
        prompts = table.column(options.prompt, "--prompt")
        answers = table.columns.get(options.answer) or [None] * len(table)
        chats = [Chat((("user", str(p)),), _text(a)) for p, a in zip(prompts, answers, strict=True) if _text(p)]
    taken = {options.messages, options.prompt, options.answer}
    further = [name for name in table.columns if name not in taken]
    if not further or len(chats) != len(table):
        return chats
    rows = zip(*(table.columns[name] for name in further), strict=True)
    return [
        replace(chat, columns=dict(zip(further, cells, strict=True))) for chat, cells in zip(chats, rows, strict=True)
    ]


def _text(cell: Any) -> str | None:
    return str(cell) if cell is not None and str(cell).strip() else None


def _from_messages(cell: Any, place: str) -> Chat:
    turns = []
    for turn in cell if isinstance(cell, list) else ():
        if not isinstance(turn, dict) or turn.get("role") not in ROLES or not isinstance(turn.get("content"), str):
            raise DataError(f"{place}: a turn of a chat has a `role` ({', '.join(ROLES)}) and a text as `content`")
        turns.append((str(turn["role"]), str(turn["content"])))
    answer = turns.pop()[1] if turns and turns[-1][0] == "assistant" else ""
    if not turns:
        raise DataError(f"{place}: no chat. Expected a list of turns, the last of them the assistant's answer")
    return Chat(tuple(turns), _text(answer))


def _split(chats: Sequence[Chat], share: float, seed: int) -> tuple[list[Chat], list[Chat]]:
    """(The rest, the share); answers that stand often are spread evenly."""
    numbers = {answer: i for i, answer in enumerate(sorted({chat.answer or "" for chat in chats}))}
    labels = np.array([[numbers[chat.answer or ""]] for chat in chats], np.int32)
    if len(numbers) > len(chats) / 2:
        labels[:] = 0
    kept, held = stratified_split(labels, [chat.digest() for chat in chats], share, seed=seed)
    return _take(chats, kept), _take(chats, held)


def _take(chats: Sequence[Chat], positions: IntArray) -> list[Chat]:
    return [chats[i] for i in positions.tolist()]


def _without_leaks(
    chats: Sequence[Chat], test: Sequence[Chat], options: PromptOptions, part: str, findings: list[Finding]
) -> list[Chat]:
    if options.leakage == "keep" or not chats:
        return list(chats)
    pairs = find_leaks(_rows(chats), _rows(test), options.near_duplicate)
    if not pairs:
        return list(chats)
    exact = sum(pair.similarity == 1 for pair in pairs)
    if options.leakage == "fail":
        raise DataError(
            f"{len(pairs)} {part} prompts stand in the test rows too ({exact} exactly), which would flatter every "
            "figure. Remove them, or let them be removed with data.leakage=remove."
        )
    findings.append(Finding("prompt_leaks", {"count": len(pairs), "exact": exact, "part": part}))
    gone = {pair.position for pair in pairs}
    return [chat for i, chat in enumerate(chats) if i not in gone]


def _rows(chats: Sequence[Chat]) -> Rows:
    """The whole prompts as rows of text, for the search for repeats."""
    texts = ["\n".join(content for _, content in chat.messages) for chat in chats]
    return Rows(inputs=texts, labels=np.zeros((len(texts), 1), np.int32), line_numbers=np.arange(1, len(texts) + 1))
