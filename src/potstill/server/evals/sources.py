"""Where the rows of a run come from, and what is asked about each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from potstill.server.blobs import Blobs
from potstill.server.completions import request_of
from potstill.server.database.tables import completions
from potstill.server.errors import invalid
from potstill.server.files import find_file
from potstill.server.graders import GraderError, fill_messages
from potstill.server.graders.template import look_up
from potstill.server.matching import Filter, select_matching
from potstill.server.responses.asking import MARK

Json = dict[str, Any]
TYPES = ("jsonl", "completions", "responses")
SOURCES = ("file_content", "file_id", "stored_completions", "responses")
STORED = SOURCES[2:]
NO_FILTER = ("users", "tools", "reasoning_effort")
MOST_ROWS = 100_000


@dataclass(frozen=True, kw_only=True)
class SourceRow:
    """One row.

    Attributes:
        item: what templates call `item`.
        sample: an answer that is there already; None where a model is asked, or nothing is graded but the item.
    """

    item: Json
    sample: Json | None = None


def check_source(source: Any) -> None:
    """Checks the form of a run's data source.

    Raises:
        ApiError: 400.
    """
    kind = source.get("type") if isinstance(source, dict) else None
    if kind not in TYPES:
        raise invalid(f"'data_source.type' is '{kind}'; expected one of {', '.join(TYPES)}.", "data_source.type")
    inner = source.get("source")
    inner_kind = inner.get("type") if isinstance(inner, dict) else None
    if inner_kind not in SOURCES:
        raise invalid(
            f"'data_source.source.type' is '{inner_kind}'; served are {', '.join(SOURCES)}.", "data_source.source.type"
        )
    for name in NO_FILTER if inner_kind == "responses" else ():
        if inner.get(name):
            raise invalid(f"Stored responses can't be chosen by '{name}'.", f"data_source.source.{name}")
    if kind != "jsonl" and not source.get("model") and inner_kind not in STORED:
        raise invalid(f"A run of type '{kind}' needs 'data_source.model'.", "data_source.model")
    if kind != "jsonl" and source.get("model") and inner_kind not in STORED and not _asks(source):
        raise invalid("'data_source.input_messages' is missing: nothing would be asked.", "data_source.input_messages")


def read_rows(connection: Connection, blobs: Blobs, project: str, source: Json) -> list[SourceRow]:
    """All rows of a data source.

    Raises:
        ApiError: a file that is not there, or rows of another form.
    """
    inner = source["source"]
    if inner["type"] == "file_content":
        return [_row(value, i) for i, value in enumerate(inner.get("content") or (), 1)]
    if inner["type"] == "file_id":
        file = find_file(connection, project, str(inner.get("id")), "data_source.source.id")
        return [_row(_parsed(line, i), i) for i, line in enumerate(blobs.read(file.digest).splitlines(), 1) if line]
    return _stored(connection, blobs, project, inner)


def messages_for(source: Json, row: SourceRow) -> list[Json]:
    """What a model is asked about a row.

    Raises:
        GraderError: a template that this row can't fill.
    """
    asked = source.get("input_messages")
    values = {"item": row.item}
    if not asked:
        return [dict(message) for message in row.item["messages"]]
    if asked.get("type") == "item_reference":
        found = look_up(str(asked.get("item_reference", "")).strip("{} "), values)
        if not isinstance(found, list):
            raise GraderError("item_reference leads to something else than a list of messages")
        return [dict(message) for message in found]
    return fill_messages(asked.get("template") or (), values)


def _asks(source: Mapping[str, Any]) -> bool:
    asked = source.get("input_messages")
    return isinstance(asked, dict) and asked.get("type") in ("template", "item_reference")


def _row(value: Any, number: int) -> SourceRow:
    if not isinstance(value, dict) or not isinstance(value.get("item"), dict):
        raise invalid(f"Row {number} of the data source has no 'item' that is a JSON object.", "data_source")
    sample = value.get("sample")
    return SourceRow(item=value["item"], sample=_sample(sample) if isinstance(sample, dict) else None)


def _sample(sample: Json) -> Json:
    return {**with_json(str(sample.get("output_text") or "")), **sample}


def with_json(text: str) -> Json:
    """`output_text`, and `output_json` where the text is JSON."""
    try:
        return {"output_text": text, "output_json": json.loads(text)}
    except (ValueError, RecursionError):
        return {"output_text": text}


def _parsed(line: bytes, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise invalid(f"Line {number} of the data source's file is no JSON.", "data_source") from None


def _stored(connection: Connection, blobs: Blobs, project: str, inner: Json) -> list[SourceRow]:
    wanted = Filter(
        model=inner.get("model"),
        metadata=inner.get("metadata") or {},
        created_after=inner.get("created_after"),
        created_before=inner.get("created_before"),
    )
    found = select_matching(connection, project, wanted, *completions.c)
    if found is None:
        return []
    query, seq = found
    limit = min(int(inner.get("limit") or MOST_ROWS), MOST_ROWS)
    rows: list[SourceRow] = []
    for row in connection.execute(query.order_by(seq)):
        if len(rows) == limit:
            break
        request, answer = request_of(row, blobs), json.loads(row.body)
        if inner["type"] == "responses" and not _is_wanted(request, inner):
            continue
        message = answer["choices"][0]["message"]
        messages: Sequence[Json] = request["messages"]
        text = str(message.get("content") or "")
        item = {"messages": messages, "input": messages, "output": text, "metadata": answer.get("metadata") or {}}
        sample = {**with_json(text), "output_tools": message.get("tool_calls") or [], "model": answer["model"]}
        rows.append(SourceRow(item={**item, "response_format": request.get("response_format")}, sample=sample))
    return rows


def _is_wanted(request: Json, inner: Json) -> bool:
    """Whether a stored request was one for a response, with what the source asks for."""
    mark = request.get(MARK)
    if mark is None or any(inner.get(name) not in (None, request.get(name)) for name in ("temperature", "top_p")):
        return False
    return str(inner.get("instructions_search") or "") in str(mark.get("instructions") or "")
