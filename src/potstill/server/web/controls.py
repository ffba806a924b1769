"""Forms and what they are made of; labels and values come in as plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from potstill.report.markup import escape, tag, void


def form(csrf: str, action: str, *content: str, class_: str = "form") -> str:
    """A form that changes something."""
    return tag("form", hidden("csrf", csrf), *content, method="post", action=action, class_=class_)


def hidden(name: str, value: str) -> str:
    """A value that the reader doesn't see."""
    return void("input", type="hidden", name=name, value=value)


def button(label: str, *, look: str = "", confirm: str = "", **attributes: str) -> str:
    """Sends the form that it stands in; `confirm` is asked first where scripts run."""
    if confirm:
        attributes["data-confirm"] = confirm
    if look:
        attributes["class_"] = look
    return tag("button", escape(label), type="submit", **attributes)


def link_button(label: str, address: str, *, look: str = "") -> str:
    """A link that looks like a button."""
    return tag("a", escape(label), href=address, class_=f"button {look}".strip())


def field(
    label: str, name: str, value: str = "", *, hint: str = "", kind: str = "text", **attributes: str | int
) -> str:
    """One line to fill in."""
    described = {"aria_describedby": f"{name}-hint"} if hint else {}
    control = void("input", type=kind, name=name, id=name, value=value, **described, **attributes)
    return _labelled(label, name, control, hint)


def text_area(label: str, name: str, value: str = "", *, hint: str = "", **attributes: str | int) -> str:
    """Several lines to fill in."""
    described = {"aria_describedby": f"{name}-hint"} if hint else {}
    # A browser drops a line break right after the opening tag, so one is put there to be dropped.
    control = tag("textarea", "\n" + escape(value), name=name, id=name, **described, **attributes)
    return _labelled(label, name, control, hint)


def select(label: str, name: str, options: Mapping[str, str], value: str = "", *, hint: str = "") -> str:
    """One of several, by value and shown text."""
    described = {"aria_describedby": f"{name}-hint"} if hint else {}
    shown = [
        tag("option", escape(text), value=key, **({"selected": "selected"} if key == value else {}))
        for key, text in options.items()
    ]
    return _labelled(label, name, tag("select", *shown, name=name, id=name, **described), hint)


def suggestions(identifier: str, values: Sequence[str]) -> str:
    """What a field with `list=identifier` may complete to."""
    return tag("datalist", *(void("option", value=value) for value in values), id=identifier)


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """One card to choose; all but the value is shown."""

    value: str
    title: str
    text: str = ""


def choices(
    legend: str, name: str, options: Sequence[Choice], value: str = "", *, several: Sequence[str] | None = None
) -> str:
    """Cards to choose one of; with `several`, the values chosen among any number."""
    cards = []
    for option in options:
        is_on = option.value == value if several is None else option.value in several
        on = {"checked": "checked"} if is_on else {}
        kind = "radio" if several is None else "checkbox"
        control = void("input", type=kind, name=name, value=option.value, **on)
        said = tag(
            "span", tag("strong", escape(option.title)), tag("small", escape(option.text)) if option.text else ""
        )
        cards.append(tag("label", control, said, class_="choice"))
    return tag("fieldset", tag("legend", escape(legend)), tag("div", *cards, class_="choices"))


def _labelled(label: str, name: str, control: str, hint: str) -> str:
    said = tag("p", escape(hint), class_="hint", id=f"{name}-hint") if hint else ""
    return tag("div", tag("label", escape(label), for_=name), control, said, class_="field")
