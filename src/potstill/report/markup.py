"""HTML from plain values; everything that comes in is escaped."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence


def escape(value: object) -> str:
    """Text for HTML; control and direction characters become visible, so that they can't rearrange the page."""
    text = "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"[U+{ord(c):04X}]"
        for c in str(value)
    )
    return html.escape(text, quote=True)


def tag(name: str, /, *content: str, **attributes: str | int | float) -> str:
    """An element; `content` is HTML already, attribute values are escaped."""
    return f"{void(name, **attributes)}{''.join(content)}</{name}>"


def void(name: str, /, **attributes: str | int | float) -> str:
    """An element that never has content, as `input`; or the opening of one that has."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return tag("p", escape(text))


def items(texts: Iterable[str]) -> str:
    """A list of plain texts."""
    return tag("ul", *(tag("li", escape(text)) for text in texts))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, raw: bool = False) -> str:
    """A table with a caption; the first cell of a row heads it. With `raw` the cells are HTML already."""
    text = (lambda cell: cell) if raw else escape
    head = tag("tr", *(tag("th", escape(name), scope="col") for name in header))
    body = [
        tag("tr", tag("th", text(row[0]), scope="row"), *(tag("td", text(cell)) for cell in row[1:])) for row in rows
    ]
    whole = tag("table", tag("caption", escape(caption)), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="scroll")


def details(summary: str, *content: str, is_open: bool = False) -> str:
    """Something to unfold."""
    opening = "<details open>" if is_open else "<details>"
    return f"{opening}{tag('summary', escape(summary))}{''.join(content)}</details>"


def section(identifier: str, title: str, *content: str) -> str:
    """A section with its heading."""
    return tag("section", tag("h2", escape(title), id=identifier), *content, aria_labelledby=identifier)
