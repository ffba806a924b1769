"""From a chat request to a student's input, and from its labels to an answer in the words of its teacher."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal

import msgspec

from potstill.server.errors import invalid

Json = dict[str, Any]


class FieldAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the student in the answer.

    Attributes:
        field: its name in the bundle.
        key: its key in the JSON object; unused in an answer of text.
        values: class -> JSON value, for booleans, numbers and null; other classes stand for themselves.
    """

    field: str
    key: str = ""
    values: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """What a class says in JSON."""
        return self.values.get(name, name)


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """How one student reads and writes.

    Attributes:
        input: what is read of the last user message: its text, or its first picture.
        prefix: constant start of that text, which the student never saw.
        suffix: constant end.
        form: the answer is a class as it is, or a JSON object.
        fields: of the answer, in their order.
        constants: keys of the object whose value is always the same.
    """

    input: Literal["text", "image"]
    form: Literal["text", "json"]
    fields: list[FieldAnswer]
    prefix: str = ""
    suffix: str = ""
    constants: Json = {}

    def text(self, messages: list[Json]) -> str:
        """The changing part of the last user message.

        Raises:
            ApiError: 400: there is none.
        """
        content = last_user(messages)
        parts = [content] if isinstance(content, str) else [p["text"] for p in content if p.get("type") == "text"]
        if not parts or not all(isinstance(part, str) for part in parts):
            raise invalid("This student reads the text of the last user message, and it has none.", "messages")
        return "\n".join(parts).removeprefix(self.prefix).removesuffix(self.suffix)

    def picture(self, messages: list[Json]) -> bytes:
        """The file in the first picture of the last user message.

        Raises:
            ApiError: 400: there is none, or it is no data URL.
        """
        content = last_user(messages)
        parts = [] if isinstance(content, str) else [p for p in content if p.get("type") == "image_url"]
        link = parts[0].get("image_url") if parts else None
        url = link.get("url") if isinstance(link, dict) else None
        head, comma, data = (url if isinstance(url, str) else "").partition(",")
        if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
            raise invalid(
                "This student reads a picture of the last user message, as a data URL (data:image/png;base64,...).",
                "messages",
                "invalid_image_url",
            )
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise invalid("The data URL of the picture is no base64.", "messages", "invalid_image_url") from None

    def answer(self, labels: Json) -> str:
        """The content of the message.

        Args:
            labels: field of the bundle -> class, or classes where several hold.
        """
        if self.form == "text":
            value = self.fields[0].value(labels[self.fields[0].field])
            return value if isinstance(value, str) else msgspec.json.encode(value).decode()
        found = {
            part.key: [part.value(name) for name in label] if isinstance(label, list) else part.value(label)
            for part in self.fields
            for label in [labels[part.field]]
        }
        return msgspec.json.encode({**self.constants, **found}).decode()


def last_user(messages: list[Json]) -> str | list[Json]:
    """Content of the last message of the user.

    Raises:
        ApiError: 400: there is none.
    """
    for message in reversed(messages):
        content = message.get("content")
        if message.get("role") == "user":
            if isinstance(content, str):
                return content
            if isinstance(content, list) and all(isinstance(part, dict) for part in content):
                return content
            break
    raise invalid("This student reads the last user message, and there is none.", "messages")


def allowed_values(response_format: Json | None, key: str) -> list[Any] | None:
    """The enum of a key in the schema that the request asks for; None when it doesn't limit."""
    place: Any = response_format
    for name in ("json_schema", "schema", "properties", key):
        place = place.get(name) if isinstance(place, dict) else None
    if isinstance(place, dict) and "const" in place:
        return [place["const"]]
    values = place.get("enum") if isinstance(place, dict) else None
    return values if isinstance(values, list) else None
