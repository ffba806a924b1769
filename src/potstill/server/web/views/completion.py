"""One stored completion in full. What a model said is text, a remote picture is named and never loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final
from urllib.parse import urlsplit

from potstill.report.figures import whole
from potstill.report.markup import escape, tag, void
from potstill.report.words import Words
from potstill.server.web import controls, pieces
from potstill.server.web.layout import Viewer, page, top

_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/=\s]+")
ROLES = ("system", "developer", "user", "assistant", "tool", "function")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """What was asked and answered.

    Attributes:
        messages: in OpenAI's form, the answer last.
        request: what else the request said, without the messages.
        usage: counts by name.
        licence: what the teacher's answers may be used for, empty if nobody said.
    """

    id: str
    created_at: int
    model: str
    teacher: str
    messages: Sequence[Mapping[str, Any]]
    request: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""


def completion_page(viewer: Viewer, found: Completion, *, back: str = "/logs") -> str:
    """The whole page."""
    words = viewer.words
    delete = controls.form(
        viewer.csrf,
        f"/logs/{found.id}/delete",
        controls.button(words("delete"), look="danger", confirm=words("delete_confirm")),
    )
    head = top(
        words("completion"),
        controls.link_button(words("back_to_logs"), back),
        delete,
        under=pieces.code(found.id),
    )
    turns = tag("div", *(turn(words, message) for message in found.messages))
    return page(
        viewer,
        words("completion"),
        head,
        tag("div", turns, tag("div", *_sides(words, found)), class_="columns wide"),
        here="logs",
    )


def turn(words: Words, message: Mapping[str, Any]) -> str:
    """One message: its texts, pictures and calls of tools."""
    role = str(message.get("role", ""))
    known = role if role in ROLES else "other"
    name = words(f"role_{known}") if known != "other" else role
    content = message.get("content")
    if isinstance(content, str):
        parts = [_said(content)]
    elif isinstance(content, list):
        parts = [_part(words, part) for part in content]
    else:
        parts = []
    if isinstance(message.get("refusal"), str):
        parts.append(pieces.notice(words("refused", text=message["refusal"]), "wait"))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        parts.append(_call(words, call))
    return tag("article", tag("h2", escape(name)), *parts, class_=f"turn {known}")


def _part(words: Words, part: Any) -> str:
    if not isinstance(part, Mapping):
        return _said(str(part))
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text", "refusal"):
        return _said(str(part.get("text", part.get("refusal", ""))))
    if kind in ("image_url", "input_image"):
        value = part.get("image_url")
        address = str(value.get("url", "")) if isinstance(value, Mapping) else str(value)
        return _picture(words, address)
    return tag("p", escape(words("part_not_shown", kind=str(kind))), class_="quiet")


def _picture(words: Words, address: str) -> str:
    if _PICTURE.fullmatch(address):
        return void("img", src="".join(address.split()), alt=words("picture"), loading="lazy")
    try:
        host = urlsplit(address).hostname
    except ValueError:
        host = None
    said = words("picture_not_loaded", host=host) if host else words("picture_not_shown")
    return tag("p", escape(said), class_="quiet")


def _call(words: Words, call: Any) -> str:
    function = call.get("function") if isinstance(call, Mapping) else None
    name = str(function.get("name", "")) if isinstance(function, Mapping) else ""
    arguments = function.get("arguments", "") if isinstance(function, Mapping) else call
    return tag("p", escape(words("tool_call", name=name))) + tag("pre", escape(arguments), tabindex="0")


def _said(text: str) -> str:
    return tag("p", escape(text), class_="said", dir="auto")


def _sides(words: Words, found: Completion) -> list[str]:
    about = {
        words("time_utc"): pieces.when(found.created_at),
        words("model"): pieces.code(found.model),
        words("teacher"): pieces.code(found.teacher),
        words("licence"): escape(found.licence or words("licence_unknown")),
    }
    sides = [pieces.card(words("about"), pieces.facts(about))]
    if found.metadata:
        shown = {key: escape(value) for key, value in found.metadata.items()}
        sides.append(pieces.card(words("metadata"), pieces.facts(shown)))
    if found.usage:
        counts = {
            words(f"usage_{name}") if words.has(f"usage_{name}") else name: pieces.number(whole(count))
            for name, count in found.usage.items()
        }
        sides.append(pieces.card(words("usage"), pieces.facts(counts)))
    for name in ("tools", "response_format"):
        if found.request.get(name):
            sides.append(pieces.card(words(name), _json(found.request[name])))
    rest = {key: value for key, value in found.request.items() if key not in ("tools", "response_format")}
    if rest:
        sides.append(pieces.card(words("settings"), _json(rest)))
    return sides


def _json(value: Any) -> str:
    return tag("pre", escape(json.dumps(value, ensure_ascii=False, indent=2)), tabindex="0")
