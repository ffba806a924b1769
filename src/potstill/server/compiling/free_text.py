"""Chats whose answers are free text, as rows for a student that writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from potstill.errors import DataError
from potstill.server.training_files import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenRow:
    """A row.

    Attributes:
        line: of the file.
        messages: turns before the answer, each a text with its role.
        answer: a text.
        logprobs: of the answer's tokens, as a choice has them, unchecked; None without.
    """

    line: int
    messages: tuple[dict[str, str], ...]
    answer: str
    logprobs: Any = None


def read_written(examples: Sequence[Example]) -> tuple[list[WrittenRow], tuple[int, ...]]:
    """Rows, each question and answer once, and the lines with pictures or calls of tools, which are left out.

    Raises:
        DataError: no line is left.
    """
    rows, strange, seen = [], [], set()
    for example in examples:
        turns = [_turn(message) for message in example.messages]
        answer = _content(example.answer)
        kept = tuple(turn for turn in turns if turn is not None)
        if not answer or not kept or len(kept) < len(turns) or example.answer.get("tool_calls"):
            strange.append(example.line)
            continue
        key = (tuple((turn["role"], turn["content"]) for turn in kept), answer)
        if key not in seen:
            seen.add(key)
            logprobs = example.extras.get("logprobs")
            rows.append(WrittenRow(line=example.line, messages=kept, answer=answer, logprobs=logprobs))
    if examples and not rows:
        raise DataError(
            "every line holds pictures or calls of tools; a student that writes learns from chats of text. Use lines "
            "whose messages are text."
        )
    return rows, tuple(strange)


def _turn(message: Any) -> dict[str, str] | None:
    content, role = _content(message), str(message["role"])
    if content is None or message.get("tool_calls") or role in ("tool", "function"):
        return None
    return {"role": "system" if role == "developer" else role, "content": content}


def _content(message: Any) -> str | None:
    content = message.get("content")
    if isinstance(content, list):
        if any(part.get("type") != "text" for part in content):
            return None
        content = "".join(str(part["text"]) for part in content)
    return content if isinstance(content, str) and content.strip() else None
