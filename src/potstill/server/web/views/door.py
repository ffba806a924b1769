"""Signing in, and what is shown where something can't be."""

from __future__ import annotations

from potstill.report.markup import escape, tag, void
from potstill.server.web.controls import button, field, hidden, link_button
from potstill.server.web.layout import Viewer, page
from potstill.server.web.pieces import notice


def sign_in_page(viewer: Viewer, *, refused: bool = False, back: str = "/") -> str:
    """Asks for the key; the browser keeps a session in its place."""
    words = viewer.words
    key = field(
        words("api_key"),
        "key",
        kind="password",
        hint=words("api_key_hint"),
        required="",
        autofocus="",
        autocomplete="current-password",
        spellcheck="false",
    )
    parts = [
        void("img", src="/static/icon.svg", alt="", width=42, height=42),
        tag("h1", escape(words("sign_in_title"))),
        tag("p", escape(words("sign_in_text")), class_="quiet"),
        notice(words("sign_in_refused"), "bad") if refused else "",
        tag("form", hidden("back", back), key, button(words("sign_in"), look="main"), method="post", action="/sign-in"),
    ]
    door = tag("div", tag("div", *parts, class_="card"), class_="door")
    return page(viewer, words("sign_in"), door)


def problem_page(viewer: Viewer, status: int, message: str) -> str:
    """An expected failure: what went wrong, in the words of whoever noticed it."""
    words = viewer.words
    key = f"problem_{status}" if words.has(f"problem_{status}") else "problem"
    title = words(key)
    parts = [
        tag("h1", escape(title)),
        tag("p", escape(message), class_="said"),
        tag("p", link_button(words("back_to_start"), "/")),
    ]
    return page(viewer, title, tag("section", *parts, class_="card"))
