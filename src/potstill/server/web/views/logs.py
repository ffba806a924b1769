"""Stored completions: the table, its filter, and what can be made of the rows that it lets through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final
from urllib.parse import quote, urlencode

from potstill.report.figures import whole
from potstill.report.markup import escape, tag
from potstill.report.words import Words
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LogFilter:
    """Which rows; an empty part lets all through.

    Attributes:
        model: its name.
        metadata: `key=value` pairs as they were typed, separated by commas.
        after: first day, as YYYY-MM-DD in UTC.
        before: last day.
        text: stands in prompt or answer.
    """

    model: str = ""
    metadata: str = ""
    after: str = ""
    before: str = ""
    text: str = ""

    def query(self, **more: str) -> str:
        """As the query string of a link, with its question mark."""
        named = {name: getattr(self, name) for name in self.__slots__} | more
        return "?" + urlencode({name: value for name, value in named.items() if value})

    @property
    def is_empty(self) -> bool:
        """Whether all rows pass."""
        return not any(getattr(self, name) for name in self.__slots__)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LogRow:
    """One stored completion in short."""

    id: str
    created_at: int
    model: str
    prompt: str
    answer: str
    tokens: int | None
    metadata: Mapping[str, str] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LogList:
    """One page of rows.

    Attributes:
        filter: that they passed.
        rows: newest first.
        models: to choose from.
        older: the row after which the next page starts; empty on the last page.
        newer: the row before which the page before ends; empty on the first.
        refused: why the filter can't be used; empty if it can.
        address: of the API, to be shown where nothing is stored yet.
    """

    filter: LogFilter
    rows: Sequence[LogRow]
    models: Sequence[str] = ()
    older: str = ""
    newer: str = ""
    refused: str = ""
    address: str = ""


def logs_page(viewer: Viewer, found: LogList) -> str:
    """The whole page."""
    words, chosen = viewer.words, found.filter
    actions = []
    if found.rows:
        actions = [
            controls.link_button(words("evaluate"), "/evals/new" + chosen.query()),
            controls.link_button(words("distil"), "/distil" + chosen.query(), look="main"),
        ]
    head = top(words("place_logs"), *actions, under=escape(words("logs_text")))
    refused = pieces.notice(found.refused, "bad") if found.refused else ""
    if found.rows:
        body = _table(words, found.rows) + pieces.pager(
            words,
            older=found.older and "/logs" + chosen.query(older=found.older),
            newer=found.newer and "/logs" + chosen.query(newer=found.newer),
        )
    elif chosen.is_empty:
        body = pieces.empty(words("logs_empty"), words("logs_empty_text"), tag("pre", escape(_example(found.address))))
    else:
        body = pieces.empty(words("logs_none"), words("logs_none_text"))
    shown = "" if chosen.is_empty and not found.rows else filter_form(words, chosen, found.models)
    return page(viewer, words("place_logs"), head, refused, shown, body, here="logs")


def filter_form(words: Words, chosen: LogFilter, models: Sequence[str]) -> str:
    """The filter, in the address of the page, so that it can be sent to a colleague."""
    fields = [
        controls.field(words("model"), "model", chosen.model, list="models", autocomplete="off"),
        controls.field(words("metadata"), "metadata", chosen.metadata, placeholder="task=intent", autocomplete="off"),
        controls.field(words("from_day"), "after", chosen.after, kind="date"),
        controls.field(words("to_day"), "before", chosen.before, kind="date"),
        controls.field(words("text"), "text", chosen.text, kind="search", autocomplete="off"),
    ]
    ends = [controls.button(words("apply_filter")), controls.link_button(words("clear_filter"), "/logs", look="bare")]
    parts = [
        tag("div", *fields, class_="fields"),
        controls.suggestions("models", models),
        tag("div", *ends, class_="actions"),
    ]
    return tag(
        "form", *parts, method="get", action="/logs", role="search", class_="card filter", aria_label=words("filter")
    )


def _table(words: Words, rows: Sequence[LogRow]) -> str:
    header = [words(key) for key in ("time_utc", "model", "prompt", "answer", "tokens", "metadata")]
    cells = [
        [
            tag("a", pieces.when(row.created_at), href=f"/logs/{quote(row.id, safe='')}"),
            pieces.code(row.model),
            pieces.clipped(row.prompt),
            pieces.clipped(row.answer),
            pieces.number(whole(row.tokens)),
            pieces.pairs(row.metadata),
        ]
        for row in rows
    ]
    return pieces.listing(words("logs_caption"), header, cells)


def _example(address: str) -> str:
    return (
        f'client = OpenAI(base_url="{address}", api_key="...")\n'
        'client.chat.completions.create(model="...", messages=[...], store=True, metadata={"task": "intent"})'
    )
