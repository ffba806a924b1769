"""What every page has around its content: the bar with places to go, the language, the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from potstill.report.markup import escape, tag, void
from potstill.report.words import Words
from potstill.server.web.controls import button, form, hidden
from potstill.server.web.words import NAMES

PLACES = {
    "logs": "/logs",
    "jobs": "/jobs",
    "evals": "/evals",
    "models": "/models",
    "fleet": "/fleet",
    "keys": "/keys",
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Who looks at a page.

    Attributes:
        words: in the reader's language.
        csrf: goes into every form, so that only our own pages can send one.
        address: path and query of this page, to come back to.
        project: shown in the bar; empty for somebody who hasn't signed in.
        is_admin: sees what concerns the whole server.
    """

    words: Words
    csrf: str = ""
    address: str = "/"
    project: str = ""
    is_admin: bool = False


def page(viewer: Viewer, title: str, *content: str, here: str = "") -> str:
    """A whole page; `content` is HTML, `here` names the place in the bar."""
    words = viewer.words
    head = "".join(
        [
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            tag("title", escape(words("page_title", title=title))),
            '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/style.css">',
            '<script src="/static/page.js" defer></script>',
        ]
    )
    skip = tag("a", escape(words("skip")), href="#content", class_="skip")
    body = tag("body", skip, _bar(viewer, here), tag("main", *content, id="content", tabindex="-1"))
    return f'<!doctype html><html lang="{words.language}">{tag("head", head)}{body}</html>\n'


def top(title: str, *actions: str, under: str = "") -> str:
    """The heading of a page with what can be done; all but the title is HTML."""
    said = tag("div", tag("h1", escape(title)), tag("p", under) if under else "")
    return tag("div", said, tag("div", *actions, class_="actions") if actions else "", class_="top")


def _bar(viewer: Viewer, here: str) -> str:
    words = viewer.words
    logo = void("img", src="/static/icon.svg", alt="", width=24, height=24)
    brand = tag("a", logo, tag("span", "Potstill"), href="/", class_="brand")
    tools = [_language(viewer)]
    navigation = ""
    if viewer.project:
        places = []
        for name, address in PLACES.items():
            current = {"aria_current": "page"} if name == here else {}
            places.append(tag("li", tag("a", escape(words(f"place_{name}")), href=address, **current)))
        navigation = tag("nav", tag("ul", *places), aria_label=words("navigation"))
        leave = button(words("sign_out"), look="bare")
        tools.append(form(viewer.csrf, "/sign-out", leave))
    return tag("header", brand, navigation, tag("div", *tools, class_="tools"), class_="bar")


def _language(viewer: Viewer) -> str:
    buttons = []
    for language, name in NAMES.items():
        current = {"aria_current": "true"} if language == viewer.words.language else {}
        buttons.append(button(name, look="bare", name="language", value=language, lang=language, **current))
    chooser = tag("form", hidden("back", viewer.address), *buttons, method="post", action="/language")
    return tag("div", chooser, role="group", aria_label=viewer.words("language"))
