"""A streamed answer put together again, so that it can be stored."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Accumulated:
    """Takes chunks and holds the whole answer."""

    def __init__(self) -> None:
        self._choices: dict[int, Json] = {}
        self._rest: Json = {}

    def add(self, chunk: Json) -> None:
        """Takes one `chat.completion.chunk`."""
        for name in ("usage", "service_tier", "system_fingerprint", "potstill"):
            if chunk.get(name) is not None:
                self._rest[name] = chunk[name]
        for part in chunk["choices"]:
            choice = self._choices.setdefault(part["index"], {"index": part["index"], "message": {}, "logprobs": None})
            if part.get("finish_reason"):
                choice["finish_reason"] = part["finish_reason"]
            if part.get("logprobs"):
                _join_logprobs(choice, part["logprobs"])
            _join(choice["message"], part["delta"])

    def whole(self) -> Json:
        """A `chat.completion`, without the names that the caller gives."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        for choice in choices:
            if "tool_calls" in choice["message"]:
                calls = choice["message"]["tool_calls"]
                choice["message"]["tool_calls"] = [calls[index] for index in sorted(calls)]
        return {**self._rest, "choices": choices}


def _join(message: Json, delta: Json) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", {})
            for part in value or ():
                _join_call(calls.setdefault(part.get("index", 0), {}), part)
        elif name == "role" or value is None:
            message.setdefault(name, value)
        elif isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        elif isinstance(value, dict):
            _join(message.setdefault(name, {}), value)
        else:
            message[name] = value


def _join_call(call: Json, part: Json) -> None:
    for name in ("id", "type"):
        if part.get(name):
            call[name] = part[name]
    function = call.setdefault("function", {"name": "", "arguments": ""})
    for name in ("name", "arguments"):
        function[name] += (part.get("function") or {}).get(name) or ""


def _join_logprobs(choice: Json, found: Json) -> None:
    joined = choice["logprobs"] or {"content": None, "refusal": None}
    for name in ("content", "refusal"):
        if found.get(name):
            joined[name] = [*(joined[name] or ()), *found[name]]
    choice["logprobs"] = joined
