"""From a client's request to llama.cpp's: what is not served is refused, and nothing is left to its own defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from potstill.errors import DataError
from potstill.runtime.generating.schema import check_schema
from potstill.server.bodies import convert
from potstill.server.errors import ApiError, invalid
from potstill.server.writing.calling import call_schema
from potstill.server.writing.engines import ModelFile

Json = dict[str, Any]
MOST_STOPS = 4
MOST_LOGPROBS = 20
PLAIN = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "logit_bias")
LIMITS = {"temperature": (0, 2), "top_p": (0, 1), "frequency_penalty": (-2, 2), "presence_penalty": (-2, 2)}


class Sampling(msgspec.Struct, kw_only=True):
    """How an answer is drawn, in chats and in texts."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    stop: str | list[str] | None = None
    n: int | None = None


class ChatOptions(Sampling, kw_only=True):
    """What a chat completion may ask for."""

    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None


def chat_request(body: Mapping[str, Any], model: ModelFile) -> Json:
    """The request for llama.cpp.

    Raises:
        ApiError: 400.
    """
    options = convert(dict(body), ChatOptions)
    asked = sampling(options)
    asked["messages"] = [_message(message, f"messages[{i}]") for i, message in enumerate(options.messages)]
    longest = options.max_completion_tokens if options.max_completion_tokens is not None else options.max_tokens
    asked["max_tokens"] = at_least_one(longest, model.max_new_tokens, "max_completion_tokens")
    if options.logprobs:
        # llama.cpp needs one to count them at all; what nobody asked for is taken out of the answer again.
        asked |= {"logprobs": True, "top_logprobs": max(1, _top_logprobs(options.top_logprobs))}
    elif options.top_logprobs:
        raise invalid("'top_logprobs' is allowed where 'logprobs' is true.", "top_logprobs", "invalid_value")
    asked |= _form(options.response_format)
    if not options.tools and options.tool_choice not in (None, "none", "auto"):
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if options.tools and (schema := call_schema(options.tools, options.tool_choice)) is not None:
        # llama.cpp takes a schema of ours where it looks for no calls itself; the prompt has the tools all the same.
        asked |= {"tools": options.tools, "tool_choice": "none", "response_format": _schema_form(schema)}
        # A text that ends an answer would end the call in the middle.
        asked.pop("stop", None)
    elif options.tools and options.tool_choice != "none":
        asked["tools"] = options.tools
        for name in ("tool_choice", "parallel_tool_calls"):
            if getattr(options, name) is not None:
                asked[name] = getattr(options, name)
    return asked


def sampling(options: Sampling) -> Json:
    """What both kinds of request share.

    Raises:
        ApiError: 400.
    """
    # Students are judged by the answers that they find likeliest, so these are given unless a client wants others.
    # top_k and min_p are llama.cpp's own and would bend the probabilities that a client asks for.
    asked: Json = {"temperature": 0, "top_k": 0, "min_p": 0, "top_p": 1}
    for name in PLAIN:
        value = getattr(options, name)
        if value is None:
            continue
        if name in LIMITS and not LIMITS[name][0] <= value <= LIMITS[name][1]:
            raise _out_of_range(name, value, *LIMITS[name])
        asked[name] = value
    if options.seed is not None:
        asked["seed"] = options.seed % 2**32
    if options.n not in (None, 1):
        raise invalid("'n' is 1 with this model: it gives one answer a request.", "n", "unsupported_value")
    stops = [options.stop] if isinstance(options.stop, str) else options.stop or []
    if len(stops) > MOST_STOPS or not all(stops):
        raise invalid(f"'stop' takes up to {MOST_STOPS} texts that aren't empty.", "stop", "invalid_value")
    return asked | ({"stop": stops} if stops else {})


def at_least_one(value: int | None, default: int, name: str) -> int:
    """A limit of tokens.

    Raises:
        ApiError: 400.
    """
    if value is None:
        return default
    if value < 1:
        raise invalid(f"'{name}' is {value}; expected 1 or more.", name, "invalid_value")
    return value


def _top_logprobs(count: int | None) -> int:
    if count is not None and not 0 <= count <= MOST_LOGPROBS:
        raise _out_of_range("top_logprobs", count, 0, MOST_LOGPROBS)
    return count or 0


def _form(response_format: Json | None) -> Json:
    kind = (response_format or {}).get("type", "text")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    schema = ((response_format or {}).get("json_schema") or {}).get("schema")
    if kind != "json_schema" or not isinstance(schema, dict):
        raise invalid(
            "Invalid 'response_format': expected the type text, json_object, or json_schema with a schema.",
            "response_format",
            "invalid_value",
        )
    try:
        check_schema(schema)
    except DataError as error:
        raise invalid(f"Invalid schema for 'response_format': {error}", "response_format", "invalid_schema") from None
    return {"response_format": _schema_form(schema)}


def _schema_form(schema: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _message(message: Json, place: str) -> Json:
    found = {name: message[name] for name in ("tool_calls", "tool_call_id", "name") if message.get(name) is not None}
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str):
        raise invalid(f"Missing required parameter: '{place}.role'.", f"{place}.role", "missing_required_parameter")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content):
            raise invalid(f"This model reads text alone; '{place}' holds something else.", f"{place}.content")
        content = "".join(part["text"] for part in content)
    if content is not None and not isinstance(content, str):
        raise invalid(f"Invalid '{place}.content': expected a text or a list of parts.", f"{place}.content")
    return {**found, "role": "system" if role == "developer" else role, "content": content or ""}


def _out_of_range(name: str, value: float, low: float, high: float) -> ApiError:
    return invalid(f"'{name}' is {value:g}; expected a number from {low} to {high}.", name, "invalid_value")
