"""From a chat completion to the response that the client sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from potstill.server.answerers import Json
from potstill.server.chat import complete_usage
from potstill.server.responses.asking import MARK

CHAT, RESPONSE = "chatcmpl-", "resp_"
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a choice ended early -> how a response says so."""


def response_object(completion: Json, request: Mapping[str, Any], metadata: Json, *, is_stored: bool) -> Json:
    """A response.

    Args:
        completion: that answers it.
        request: its chat body, with the options of the response under `MARK`.
        metadata: of the client.
        is_stored: it can be retrieved later.
    """
    id = completion["id"].removeprefix(CHAT)
    choice, mark = completion["choices"][0], request[MARK]
    reason = INCOMPLETE.get(choice["finish_reason"])
    status = "incomplete" if reason else "completed"
    found = {
        "id": RESPONSE + id,
        "object": "response",
        "created_at": completion["created"],
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        **mark,
        "model": completion["model"],
        "output": [_output(f"msg_{id}", choice["message"], status)],
        "parallel_tool_calls": True,
        "temperature": request.get("temperature"),
        "top_p": request.get("top_p"),
        "tool_choice": "auto",
        "tools": [],
        "truncation": "disabled",
        "store": is_stored,
        "metadata": metadata,
    }
    if "usage" in completion:
        found["usage"] = _usage(completion["usage"])
    if "potstill" in completion:
        found["potstill"] = completion["potstill"]
    return found


def input_items(completion_id: str, request: Mapping[str, Any]) -> list[Json]:
    """The messages that were answered, as items; instructions are no item."""
    id = completion_id.removeprefix(CHAT)
    return [_item(f"msg_{id}_{place}", message) for place, message in enumerate(without_instructions(request))]


def without_instructions(request: Mapping[str, Any]) -> list[Json]:
    """Messages of a response's chat body that the next one goes on from."""
    messages: list[Json] = request["messages"]
    return messages[1:] if request[MARK]["instructions"] else messages


def _item(id: str, message: Json) -> Json:
    content = message["content"]
    parts: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if message["role"] == "assistant":
        return _output(id, {"content": "".join(part["text"] for part in parts if part["type"] == "text")}, "completed")
    shown = [
        {"type": "input_text", "text": part["text"]}
        if part["type"] == "text"
        else {
            "type": "input_image",
            "image_url": part["image_url"]["url"],
            "detail": part["image_url"]["detail"],
            "file_id": None,
        }
        for part in parts
    ]
    return {"id": id, "type": "message", "role": message["role"], "status": "completed", "content": shown}


def _output(id: str, message: Json, status: str) -> Json:
    content: list[Json] = []
    if message.get("content") is not None:
        content.append({"type": "output_text", "text": message["content"], "annotations": [], "logprobs": []})
    if message.get("refusal"):
        content.append({"type": "refusal", "refusal": message["refusal"]})
    return {"id": id, "type": "message", "role": "assistant", "status": status, "content": content}


def _usage(usage: Any) -> Json:
    counts = complete_usage(usage)
    prompt, answer = (counts.get(f"{part}_tokens_details") or {} for part in ("prompt", "completion"))
    cached = {name: prompt.get(name) or 0 for name in ("cached_tokens", "cache_write_tokens")}
    return {
        "input_tokens": counts["prompt_tokens"],
        "input_tokens_details": cached,
        "output_tokens": counts["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": answer.get("reasoning_tokens") or 0},
        "total_tokens": counts["total_tokens"],
    }
