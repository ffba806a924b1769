"""Completions that were made elsewhere, kept as if they had been stored here, with their names and times.

A line that was taken before is passed over, so an import that was cut off is sent again as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, final

import msgspec
from sqlalchemy import Connection, select

from potstill.server.auth import Key
from potstill.server.bodies import decode
from potstill.server.chat import ChatRequest, in_published_form
from potstill.server.completions import MAX_REQUEST_BYTES, SHOWN, encode_request, rows_of
from potstill.server.database.inserting import insert_rows
from potstill.server.database.tables import completions
from potstill.server.errors import ApiError, invalid
from potstill.server.ids import SEQ_PER_S, first_seq_of, now
from potstill.server.pages import check_metadata
from potstill.server.services import Services

AT_ONCE = 500
"""Lines of a transaction, so that other writes wait for a moment only."""
NUM_REJECTED = 100
"""Named in the answer; all are counted."""
MAX_ID = 200
DAY_S = 24 * 3600
OF_REQUEST = (*SHOWN, "response_format")
Json = dict[str, Any]


class Line(msgspec.Struct):
    """A stored completion with what was asked, or a line of a fine-tuning file, whose last message is the answer."""

    messages: list[Json]
    completion: Json | None = None
    request: Json | None = None
    teacher: str | None = None
    tools: list[Json] | None = None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What the lines of an import share.

    Attributes:
        key: whose project they come to.
        model: who answered, for lines that don't say it.
        teacher: kept with each row for its licence; empty: the model of the line.
        metadata: added to that of each line.
    """

    key: Key
    model: str = ""
    teacher: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@final
@dataclass(slots=True)
class Outcome:
    """What became of the lines."""

    num_lines: int = 0
    num_added: int = 0
    num_known: int = 0
    num_rejected: int = 0
    rejected: list[Json] = field(default_factory=list)


@final
@dataclass(frozen=True, slots=True)
class _Completion:
    id: str
    created: int
    response: Json
    request: Json
    teacher: str


def import_lines(services: Services, origin: Origin, content: bytes) -> Outcome:
    """Keeps what is new; waits for the disk."""
    found, waiting = Outcome(), []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        found.num_lines += 1
        try:
            waiting.append(_read(line, origin))
        except ApiError as error:
            found.num_rejected += 1
            if len(found.rejected) < NUM_REJECTED:
                found.rejected.append({"line": number, "reason": str(error)})
        if len(waiting) == AT_ONCE:
            _keep(services, origin, waiting, found)
            waiting = []
    _keep(services, origin, waiting, found)
    return found


def _keep(services: Services, origin: Origin, lines: Sequence[_Completion], found: Outcome) -> None:
    by_id = {line.id: line for line in lines}

    def known(connection: Connection) -> set[str]:
        query = select(completions.c.id).where(completions.c.project == origin.key.project)
        return set(connection.scalars(query.where(completions.c.id.in_(by_id))))

    prepared = []
    for id in set(by_id) - services.database.read_now(known):
        line = by_id[id]
        asked: bytes | str = encode_request(line.request)
        if len(asked) > MAX_REQUEST_BYTES:
            asked = services.blobs.put(asked)  # type: ignore[arg-type]
        prepared.append((line, asked))

    def write(connection: Connection) -> int:
        old = known(connection)
        new = [(line, asked) for line, asked in prepared if line.id not in old]
        rows: dict[Any, list[Any]] = {}
        for (line, asked), seq in zip(new, _places(connection, [line for line, _ in new]), strict=True):
            parts = rows_of(
                origin.key, seq, line.response, line.request, asked=asked, teacher=line.teacher, kept_from=now()
            )
            for table, values in parts.items():
                rows.setdefault(table, []).extend(values)
        for table, values in rows.items():
            if values:
                insert_rows(connection, table, values)
        return len(new)

    num_added = services.database.write_now(write) if prepared else 0
    found.num_added += num_added
    found.num_known += len(lines) - num_added


def _places(connection: Connection, lines: Sequence[_Completion]) -> list[int]:
    """A free place within the second of each line."""
    found: dict[int, str] = {}
    for attempt in count():
        missing = {line.id for line in lines} - set(found.values())
        tried = {_place(line, attempt): line.id for line in lines if line.id in missing}
        query = select(completions.c.seq).where(completions.c.seq.in_(tried))
        for seq in set(tried) - set(found) - set(connection.scalars(query)):
            found[seq] = tried[seq]
        if len(found) == len(lines):
            break
    seq_of = {id: seq for seq, id in found.items()}
    return [seq_of[line.id] for line in lines]


def _place(line: _Completion, attempt: int) -> int:
    chance = hashlib.blake2b(f"{attempt}:{line.id}".encode(), digest_size=8).digest()
    return first_seq_of(line.created) + int.from_bytes(chance) % SEQ_PER_S


def _read(content: bytes, origin: Origin) -> _Completion:
    """One line.

    Raises:
        ApiError: it can't be used; the message says why.
    """
    line = decode(content, Line)
    whole = line.completion if line.completion is not None else _answered(line, content, origin)
    id, created, model = whole.get("id"), whole.get("created"), whole.get("model") or origin.model
    if not isinstance(id, str) or not 0 < len(id) <= MAX_ID:
        raise invalid("The completion has no 'id'.")
    if type(created) is not int or not 0 < created <= now() + DAY_S:
        raise invalid(f"The completion was created at {created}, which is no Unix time before now.")
    if not isinstance(model, str) or not model:
        raise invalid("Nobody says which model answered; name it with 'model'.")
    messages = line.messages if line.completion is not None else line.messages[:-1]
    if not messages:
        raise invalid("There are no messages before the answer, so nobody knows what was asked.")
    request = {**_options(whole), **(line.request or {}), "model": model, "messages": messages}
    if line.tools is not None:
        request["tools"] = line.tools
    metadata = check_metadata({**(whole.get("metadata") or {}), **origin.metadata})
    asked = ChatRequest(model=model, messages=messages, store=True, metadata=metadata)
    response = {name: value for name, value in whole.items() if name not in (*OF_REQUEST, "input_user")}
    response = in_published_form(_checked(response), id=id, seq=first_seq_of(created), request=asked)
    teacher = line.teacher or origin.teacher or model
    return _Completion(id, created, response, request, teacher[:MAX_ID])


def _answered(line: Line, content: bytes, origin: Origin) -> Json:
    """A line of a fine-tuning file as a completion; the same line has the same name in every import."""
    message = line.messages[-1] if line.messages else {}
    if message.get("role") != "assistant":
        raise invalid("The last message isn't the assistant's, so there is no answer to keep.")
    named = hashlib.sha256(msgspec.json.encode([origin.model, content])).hexdigest()[:32]
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    if message.get("tool_calls"):
        choice["finish_reason"] = "tool_calls"
    return {"id": f"chatcmpl-{named}", "created": now(), "model": origin.model, "choices": [choice]}


def _options(whole: Json) -> Json:
    """What OpenAI shows of a request beside its answer."""
    found = {name: whole[name] for name in OF_REQUEST if whole.get(name) is not None}
    return {**found, "user": whole["input_user"]} if whole.get("input_user") else found


def _checked(response: Json) -> Json:
    choices = response.get("choices")
    if not isinstance(choices, list) or not choices or not all(map(_is_choice, choices)):
        raise invalid("The completion has no 'choices' with a 'message'.")
    for i, choice in enumerate(choices):
        choice.setdefault("index", i)
    return response


def _is_choice(choice: Any) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)
