"""From the body of a response to that of the chat completion that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from potstill.server.answerers import Json
from potstill.server.errors import invalid

MARK = "response"
"""Key in a stored request under which the options of a response stand that a chat completion has no place for."""
SAME = ("temperature", "top_p", "user", "prompt_cache_key", "prompt_cache_options", "safety_identifier", "service_tier")
ROLES = ("user", "assistant", "system", "developer")


class ResponseRequest(msgspec.Struct, kw_only=True):
    """Body of `responses.create`, as far as it is served; what would change an answer and isn't served is refused."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning: dict[str, Any] | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    stream: bool | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    tools: list[dict[str, Any]] | None = None


def check_served(request: ResponseRequest) -> None:
    """Refuses what would be passed over in silence.

    Raises:
        ApiError: 400.
    """
    for name in ("background", "conversation", "prompt", "tools"):
        if getattr(request, name):
            raise invalid(
                f"Unsupported parameter: '{name}' is not served with responses by this server; chat completions have "
                "tools.",
                name,
                "unsupported_parameter",
            )


def chat_body(request: ResponseRequest, earlier: Sequence[Json]) -> Json:
    """The chat completion to ask for, without `store` and metadata.

    Args:
        request: checked.
        earlier: messages of the response that this one goes on from, without its instructions.

    Raises:
        ApiError: 400.
    """
    spoken = [{"role": "system", "content": request.instructions}] if request.instructions else []
    given = [{"role": "user", "content": request.input}] if isinstance(request.input, str) else request.input
    body: Json = {"model": request.model, "messages": [*spoken, *earlier, *_messages(given)]}
    body |= {name: getattr(request, name) for name in SAME if getattr(request, name) is not None}
    if request.max_output_tokens is not None:
        body["max_completion_tokens"] = request.max_output_tokens
    if (effort := (request.reasoning or {}).get("effort")) is not None:
        body["reasoning_effort"] = effort
    text = request.text or {}
    if text.get("verbosity") is not None:
        body["verbosity"] = text["verbosity"]
    if (form := _response_format(text.get("format"))) is not None:
        body["response_format"] = form
    return body


def mark_of(request: ResponseRequest) -> Json:
    """What of the request is shown again and stands in no chat completion."""
    return {
        "instructions": request.instructions,
        "previous_response_id": request.previous_response_id,
        "max_output_tokens": request.max_output_tokens,
        "text": request.text or {"format": {"type": "text"}},
        "reasoning": request.reasoning,
    }


def _messages(items: Sequence[Json]) -> list[Json]:
    return [_message(item, f"input[{place}]") for place, item in enumerate(items)]


def _message(item: Json, param: str) -> Json:
    if item.get("type", "message") != "message" or item.get("role") not in ROLES:
        raise invalid(
            f"Invalid '{param}': expected a message of {', '.join(ROLES)}; other items are not served.",
            param,
            "unsupported_item",
        )
    content = item.get("content")
    if isinstance(content, str):
        return {"role": item["role"], "content": content}
    if not isinstance(content, list) or not content or not all(isinstance(part, dict) for part in content):
        raise invalid(f"Invalid '{param}.content': expected a text or a list of parts.", param, "invalid_type")
    parts = [_part(part, f"{param}.content[{place}]") for place, part in enumerate(content)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return {"role": item["role"], "content": parts[0]["text"]}
    return {"role": item["role"], "content": parts}


def _part(part: Json, param: str) -> Json:
    kind = part.get("type")
    text = part.get("refusal" if kind == "refusal" else "text")
    if kind in ("input_text", "output_text", "refusal") and isinstance(text, str):
        return {"type": "text", "text": text}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail") or "auto"}}
    raise invalid(
        f"Invalid '{param}': expected input_text with a text, or input_image with an image_url.", param, "invalid_value"
    )


def _response_format(form: Any) -> Json | None:
    if form is None:
        return None
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind == "json_schema" and isinstance(form.get("schema"), dict) and isinstance(form.get("name"), str):
        named = {name: form[name] for name in ("name", "description", "schema", "strict") if form.get(name) is not None}
        return {"type": "json_schema", "json_schema": named}
    raise invalid(
        "Invalid 'text.format': expected the type text, json_object, or json_schema with a name and a schema.",
        "text.format",
        "invalid_value",
    )
