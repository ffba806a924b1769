"""A call of a tool that must come: written under a schema, so it is one and can be parsed.

llama.cpp opens a call where the model begins one, and a small model often doesn't. So the answer is held to the JSON of
a call from its first token, with the tools in the prompt as always, and is told to the client as a call.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, final

from potstill.errors import DataError
from potstill.runtime.generating.schema import check_schema
from potstill.server.errors import ApiError, invalid
from potstill.server.ids import new_id

Json = dict[str, Any]
OPENING = re.compile(r'\s*{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"arguments"\s*:\s*')
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def call_schema(tools: Sequence[Mapping[str, Any]], choice: Any) -> Json | None:
    """The schema of a call that the choice asks for; None where the model may also say something else.

    Args:
        tools: of the request.
        choice: `tool_choice`.

    Raises:
        ApiError: 400: a tool or the choice is not in its form, or the parameters can't be held to.
    """
    if choice in (None, "auto", "none"):
        return None
    wanted = _wanted(choice)
    calls, parts = [], {}
    for i, tool in enumerate(tools):
        name, parameters = _function(tool, f"tools[{i}]")
        if wanted not in (None, name):
            continue
        place = f"tool{i}"
        parts[place] = _moved(parameters, f"#/$defs/{place}/")
        properties = {"name": {"const": name}, "arguments": {"$ref": f"#/$defs/{place}"}}
        calls.append(
            {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
        )
    if not calls:
        raise invalid(f"'tool_choice' names '{wanted}', which is none of the tools.", "tool_choice", "invalid_value")
    return {"$defs": parts, "anyOf": calls}


@final
class Call:
    """Turns the pieces of a call's JSON into the deltas of a `tool_calls`, as they come."""

    def __init__(self) -> None:
        self._text = ""
        self._sent: int | None = None

    def add(self, text: str) -> list[Json]:
        """The deltas that a piece makes known; a brace that may close the call itself waits."""
        self._text += text
        found = []
        if self._sent is None:
            opening = OPENING.match(self._text)
            if opening is None:
                return []
            self._sent = opening.end()
            function = {"name": opening[1], "arguments": ""}
            found.append(_delta({"id": new_id("call_"), "type": "function", "function": function}))
        return found + self._up_to(max(self._sent, len(self._text.rstrip("} \t\r\n"))))

    def close(self, *, is_whole: bool) -> list[Json]:
        """What waited, without the brace of the call; a call that was cut off gives all that it has."""
        if self._sent is None:
            return []
        end = len(self._text)
        if is_whole:
            end = len(self._text.rstrip().removesuffix("}").rstrip())
        return self._up_to(end)

    def _up_to(self, end: int) -> list[Json]:
        assert self._sent is not None, "a call was opened"
        piece, self._sent = self._text[self._sent : end], max(self._sent, end)
        return [_delta({"function": {"arguments": piece}})] if piece else []


async def called(chunks: AsyncIterator[Json]) -> AsyncIterator[Json]:
    """Chunks of llama.cpp whose content is the JSON of a call, as chunks of a call."""
    call = Call()
    head: Json = {"role": "assistant", "content": None}
    async for chunk in chunks:
        if not chunk["choices"]:
            yield chunk
            continue
        (choice,) = chunk["choices"]
        deltas = call.add(choice["delta"].get("content") or "")
        finish = choice.get("finish_reason")
        if finish:
            deltas += call.close(is_whole=finish == "stop")
        for delta in deltas:
            yield {"choices": [{"index": 0, "delta": {**head, **delta}}]}
            head = {}
        if finish:
            yield {**chunk, "choices": [{**choice, "delta": head, "finish_reason": _reason(finish)}]}


def _reason(finish: str) -> str:
    return "tool_calls" if finish == "stop" else finish


def _delta(call: Json) -> Json:
    return {"tool_calls": [{"index": 0, **call}]}


def _wanted(choice: Any) -> str | None:
    """The tool that is named; None for any."""
    if choice == "required":
        return None
    function = choice.get("function") if isinstance(choice, dict) and choice.get("type") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise invalid(
            "'tool_choice' is none, auto, required, or an object {type: function, function: {name}}.",
            "tool_choice",
            "invalid_value",
        )
    return str(function["name"])[:100]


def _function(tool: Mapping[str, Any], place: str) -> tuple[str, Json]:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid(f"'{place}.function.name' is missing, or isn't up to 64 letters and digits.", place)
    parameters = function.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise _unusable(place, "it is no JSON object")
    if not parameters.get("properties") and not parameters.keys() & {"anyOf", "$ref", "enum", "const"}:
        return name, {"const": {}}
    try:
        check_schema(parameters)
    except DataError as error:
        raise _unusable(place, str(error)) from None
    return name, parameters


def _unusable(place: str, why: str) -> ApiError:
    return invalid(
        f"The parameters of '{place}' can't be held to: {why}. Leave 'tool_choice' at auto, or change the schema.",
        f"{place}.function.parameters",
        "invalid_schema",
    )


def _moved(schema: Any, root: str) -> Any:
    """A schema as a part of another one: what it refers to in itself lies further in."""
    if isinstance(schema, list):
        return [_moved(part, root) for part in schema]
    if not isinstance(schema, dict):
        return schema
    place = schema.get("$ref")
    if isinstance(place, str):
        return {**schema, "$ref": root + place.removeprefix("#/")}
    return {name: _moved_part(name, part, root) for name, part in schema.items()}


def _moved_part(name: str, part: Any, root: str) -> Any:
    if name in ("properties", "$defs", "definitions") and isinstance(part, dict):
        # These names are the tool's own, whatever they are.
        return {own: _moved(inner, root) for own, inner in part.items()}
    return part if name in ("enum", "const") else _moved(part, root)
