"""Stored completions as a training file: OpenAI's 'Distill' button, which has no API there."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any, final

import msgspec
from sqlalchemy import Connection, Row

from potstill.data.duplicates import normal_form
from potstill.files import canonical_json
from potstill.server.blobs import Blobs, Draft
from potstill.server.completions import request_of
from potstill.server.database import Database
from potstill.server.database.tables import completions
from potstill.server.matching import Filter, find_page

PAGE = 500
NUM_EXAMPLES = 20
"""Named in a report of what was found; all are counted."""
Json = dict[str, Any]


@final
@dataclass(slots=True)
class Findings:
    """What was noticed on the way.

    Attributes:
        num_rows: lines of the file.
        num_matched: completions that the filter found.
        duplicates: same question, same answer as an earlier one; left out.
        conflicts: same question, another answer; both stay, as nobody here knows which is right.
        leaks: the question stands in the held-out file, but for case, spaces and signs; left out.
        unusable: no answer in them (cut off, refused, empty); left out.
        teachers: rows by who answered, for the licence of each.
    """

    num_rows: int = 0
    num_matched: int = 0
    duplicates: list[Json] = field(default_factory=list)
    conflicts: list[Json] = field(default_factory=list)
    leaks: list[Json] = field(default_factory=list)
    unusable: list[Json] = field(default_factory=list)
    teachers: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> Json:
        """Counts, and the first of each."""
        found: Json = {"num_rows": self.num_rows, "num_matched": self.num_matched, "teachers": dict(self.teachers)}
        for name in ("duplicates", "conflicts", "leaks", "unusable"):
            items = getattr(self, name)
            found[name] = {"count": len(items), "examples": items[:NUM_EXAMPLES]}
        return found


def write_dataset(
    database: Database, blobs: Blobs, project: str, wanted: Filter, held_out: set[bytes], draft: Draft | BytesIO
) -> Findings:
    """Writes one line of chat messages for each distinct completion, oldest first; waits for the disk.

    Args:
        database: where they are found.
        blobs: where large requests lie.
        project: whose.
        wanted: which.
        held_out: digests of questions that must not be trained on, see `questions_of`.
        draft: takes the lines.
    """
    found = Findings()
    earlier: dict[bytes, dict[bytes, str]] = {}
    for row in _rows(database, project, wanted):
        found.num_matched += 1
        request, message, reason = request_of(row, blobs), *_answer(row)
        if message is None:
            found.unusable.append({"id": row.id, "reason": reason})
            continue
        if question_digest(request["messages"]) in held_out:
            found.leaks.append({"id": row.id})
            continue
        asked, said = _digest(request["messages"]), _digest(message)
        answers = earlier.setdefault(asked, {})
        if said in answers:
            found.duplicates.append({"id": row.id, "of": answers[said]})
            continue
        if answers:
            found.conflicts.append({"id": row.id, "with": next(iter(answers.values()))})
        answers[said] = row.id
        draft.write(msgspec.json.encode(_line(request, message, _logprobs(row))) + b"\n")
        found.num_rows += 1
        found.teachers[row.teacher] += 1
    return found


def questions_of(content: bytes) -> set[bytes]:
    """Digests of the questions in a training file; lines that are no chat are passed over."""
    found = set()
    for line in content.splitlines():
        try:
            messages = msgspec.json.decode(line)["messages"]
            found.add(question_digest([m for m in messages if m.get("role") != "assistant"]))
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


def question_digest(messages: list[Json]) -> bytes:
    """What two spellings of a question share: its user's messages in normal form, pictures as they are."""
    asked = [message.get("content") for message in messages if message.get("role") == "user"]
    plain = [normal_form(content) or content if isinstance(content, str) else content for content in asked]
    return _digest(plain)


def _rows(database: Database, project: str, wanted: Filter) -> Iterator[Row[Any]]:
    last: int | None = None
    while True:
        page = database.read_now(partial(_page, project=project, wanted=wanted, after=last))
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1].seq


def _page(connection: Connection, *, project: str, wanted: Filter, after: int | None) -> list[Row[Any]]:
    columns = tuple(completions.c.keys())
    return find_page(connection, project, wanted, columns, after=after, ascending=True, limit=PAGE)


def _answer(row: Row[Any]) -> tuple[Json | None, str]:
    choice = msgspec.json.decode(row.body)["choices"][0]
    message = choice["message"]
    if choice["finish_reason"] not in ("stop", "tool_calls", "function_call"):
        return None, f"finish_reason is {choice['finish_reason']}"
    if message.get("refusal"):
        return None, "refused"
    kept = {name: message[name] for name in ("content", "tool_calls", "function_call") if message.get(name)}
    return ({"role": "assistant", **kept}, "") if kept else (None, "empty")


def _logprobs(row: Row[Any]) -> list[Json]:
    """The tokens of an answer with their log-probabilities, without the bytes; empty where it has none."""
    listed = (msgspec.json.decode(row.body)["choices"][0].get("logprobs") or {}).get("content") or []
    return [
        {**_entry(token), "top_logprobs": [_entry(other) for other in token.get("top_logprobs") or []]}
        for token in listed
    ]


def _entry(token: Json) -> Json:
    return {"token": token["token"], "logprob": token["logprob"]}


def _line(request: Json, message: Json, logprobs: list[Json]) -> Json:
    names = ("tools", "parallel_tool_calls", "functions")
    options = {name: request[name] for name in names if request.get(name) is not None}
    if logprobs:
        options["potstill"] = {"logprobs": {"content": logprobs}}
    return {"messages": [*request["messages"], message], **options}


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(canonical_json(value), digest_size=16).digest()
