"""Templates such as `{{ item.question }}` and `{{ sample.output_json.a[0].b }}`: paths into JSON values, no code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from potstill.server.graders.grading import Flag, GraderError

HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
PATH = re.compile(r"\s*(?:item|sample)(?:\.[\w-]+|\[\d+\])*\s*")
STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")


def check_template(template: str) -> None:
    """Checks the form of every hole.

    Raises:
        GraderError: one holds something else than a path that starts at `item` or `sample`.
    """
    for hole in HOLE.finditer(template):
        if not PATH.fullmatch(hole[1]):
            raise GraderError(
                f"the template names {hole[0]!r}; a hole holds a path that starts at item or sample, such as "
                "{{ item.label }} or {{ sample.output_text }}",
                "invalid_variable_error",
            )


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fills all holes: text as it is, everything else as JSON.

    Raises:
        GraderError: a hole of another form, or a path that leads nowhere in this row.
    """
    check_template(template)
    return HOLE.sub(lambda hole: as_text(look_up(hole[1].strip(), values)), template)


def as_text(value: Any) -> str:
    """A value as it stands in a filled template."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def look_up(path: str, values: Mapping[str, Any]) -> Any:
    """The value at a path.

    Raises:
        GraderError: there is none.
    """
    root = re.match(r"\w+", path)
    assert root is not None, "checked by check_template"
    if root[0] not in values:
        raise GraderError(f"{{{{ {path} }}}} needs a {root[0]}, and this row has none", "sample_parse_error")
    value = values[root[0]]
    for step in STEP.finditer(path, root.end()):
        name, index = step[1], step[2]
        if name is not None and isinstance(value, Mapping) and name in value:
            value = value[name]
        elif index is not None and isinstance(value, Sequence) and int(index) < len(value):
            value = value[int(index)]
        else:
            flag: Flag = "sample_parse_error" if root[0] == "sample" else "invalid_variable_error"
            raise GraderError(f"{{{{ {path} }}}} leads nowhere: there is no {step[0].lstrip('.')!r} in this row", flag)
    return value


def fill_messages(messages: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Messages of a judge or of a run as chat messages, with all templates filled.

    Takes text, `input_text`, `output_text`, `input_image` and lists of them.

    Raises:
        GraderError: a template that can't be filled, or a part of an unknown type.
    """
    return [
        {"role": str(message.get("role", "user")), "content": _content(message.get("content", ""), values)}
        for message in messages
    ]


def _content(content: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(content, str):
        return render(content, values)
    if isinstance(content, Mapping):
        content = [content]
    parts = [_part(part, values) for part in content]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": render(part, values)}
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        return {"type": "text", "text": render(str(part.get("text", "")), values)}
    if kind in ("input_image", "image_url"):
        image = part.get("image_url", "")
        url = image if isinstance(image, str) else image.get("url", "")
        found = {"url": render(str(url), values)}
        if part.get("detail"):
            found["detail"] = str(part["detail"])
        return {"type": "image_url", "image_url": found}
    raise GraderError(f"a message holds a part of type {kind!r}; text and images are taken")
