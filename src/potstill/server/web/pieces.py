"""Small things that several pages show: lists, badges, facts, times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from potstill.report.figures import percent
from potstill.report.markup import escape, tag
from potstill.report.words import Words


def listing(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose rows become cards on a phone; header and caption are text, cells are HTML."""
    head = tag("tr", *(tag("th", escape(name), scope="col", role="columnheader") for name in header), role="row")
    body = []
    for row in rows:
        cells = [
            tag("td", tag("div", cell) if cell else "", role="cell", data_label=name)
            for name, cell in zip(header[1:], row[1:], strict=True)
        ]
        body.append(tag("tr", tag("th", row[0], scope="row", role="rowheader"), *cells, role="row"))
    parts = [tag("thead", head, role="rowgroup"), tag("tbody", *body, role="rowgroup")]
    said = tag("caption", escape(caption), class_="hidden")
    return tag("div", tag("table", said, *parts, role="table"), class_="framed list")


def wide_table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, class_: str = "") -> str:
    """A table that keeps its shape and is scrolled sideways, by keyboard too; cells are HTML."""
    head = tag("tr", *(tag("th", escape(name), scope="col") for name in header))
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    table = tag("table", tag("caption", escape(caption)), tag("thead", head), tag("tbody", *body), class_=class_)
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def card(title: str, *content: str) -> str:
    """A part of a page with its heading; content is HTML."""
    return tag("section", tag("h2", escape(title)) if title else "", *content, class_="card")


def notice(text: str, kind: str = "") -> str:
    """A sentence that must not be missed."""
    role = "alert" if kind == "bad" else "status"
    return tag("div", tag("p", escape(text)), class_=f"notice {kind}".strip(), role=role)


def badge(text: str, kind: str = "") -> str:
    """A state in one word."""
    return tag("span", escape(text), class_=f"badge {kind}".strip())


def facts(values: Mapping[str, str]) -> str:
    """Names and values; values are HTML."""
    pairs = (tag("dt", escape(name)) + tag("dd", value) for name, value in values.items())
    return tag("dl", *pairs, class_="facts")


def tiles(values: Sequence[tuple[str, str, str]]) -> str:
    """Figures that stand out: name, value and what it is of, all text."""
    parts = []
    for name, value, of in values:
        small = tag("small", escape(of)) if of else ""
        parts.append(tag("div", tag("dt", escape(name)), tag("dd", escape(value), small), class_="tile"))
    return tag("dl", *parts, class_="tiles")


def pairs(metadata: Mapping[str, str]) -> str:
    """Metadata."""
    if not metadata:
        return ""
    shown = (tag("span", escape(f"{key}={value}"), class_="pair") for key, value in metadata.items())
    return tag("div", *shown, class_="tags")


def when(seconds: int | None) -> str:
    """A moment, in UTC."""
    if seconds is None:
        return ""
    moment = datetime.fromtimestamp(seconds, UTC)
    return tag("time", f"{moment:%Y-%m-%d %H:%M:%S}", datetime=f"{moment:%Y-%m-%dT%H:%M:%SZ}", class_="number")


def clipped(text: str, length: int = 240) -> str:
    """The start of a text."""
    return tag("div", escape(text if len(text) <= length else text[:length] + "…"), class_="clip")


def number(text: str) -> str:
    """Digits that line up."""
    return tag("span", escape(text), class_="number")


def code(text: str) -> str:
    """A name or id."""
    return tag("code", escape(text))


def empty(title: str, text: str, *more: str) -> str:
    """What stands where nothing is yet, and how to get it."""
    return tag("section", tag("h2", escape(title)), tag("p", escape(text)), *more, class_="card empty")


def tabs(label: str, options: Sequence[tuple[str, str]], current: str) -> str:
    """Links that show a part; (address, text) each, the current one by its address."""
    shown = []
    for address, text in options:
        on = {"aria_current": "true"} if address == current else {}
        shown.append(tag("li", tag("a", escape(text), href=address, **on)))
    return tag("nav", tag("ul", *shown, class_="tabs"), aria_label=label)


def pager(words: Words, *, older: str, newer: str) -> str:
    """Links to the pages beside this one; an empty address has none."""
    links = []
    if newer:
        links.append(tag("a", escape(words("newer")), href=newer, class_="button", rel="prev"))
    if older:
        links.append(tag("a", escape(words("older")), href=older, class_="button", rel="next"))
    return tag("nav", *links, class_="pager", aria_label=words("pages")) if links else ""


def share(value: float) -> str:
    """A share as a bar with its figure."""
    bar = tag("meter", value=round(value, 4), min=0, max=1, aria_hidden="true")
    return tag("span", bar, " ", number(percent(value)), class_="share")
