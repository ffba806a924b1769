"""What is asked of a chat model, and what its reply means."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.signals.label_masses import checked_tokens, label_masses
from potstill.types import Field, FloatArray, LabelSchema

TOP_LOGPROBS = 20
# A label without probabilities stands for this one; the other classes share the rest.
CONFIDENCE = 0.9
SMALLEST = 1e-6
# Characters of a token, for forecasts; English has about 4, Korean fewer.
CHARACTERS_PER_TOKEN = 3


class RefusedError(Exception):
    """A reply that can't be used; its text is the counted reason."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply that can be used."""

    logits: FloatArray
    num_input_tokens: int
    num_output_tokens: int


def default_instructions(schema: LabelSchema, what: str = "text") -> str:
    """The system prompt, from the names of fields and classes alone; `what` is `text`, `picture` or `sound`."""
    parts = [f"Classify the user's {what}. Reply with JSON only."]
    for field in schema.fields:
        how = "all that apply of" if field.multi else "exactly one of"
        parts.append(f"`{field.name}` is {how}: {', '.join(field.classes)}.")
    return " ".join(parts)


def request_body(model: str, instructions: str, content: Any, schema: LabelSchema) -> dict[str, Any]:
    """The body of one chat completion; the labels are an enumeration of its JSON schema.

    Args:
        model: its name at the server.
        instructions: the system prompt.
        content: of the user's message: a text, or parts such as `openai_content.content_of` makes.
        schema: of the answer.
    """
    properties = {field.name: _property(field) for field in schema.fields}
    form = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "model": model,
        "messages": [{"role": "system", "content": instructions}, {"role": "user", "content": content}],
        "temperature": 0,
        "seed": 0,
        "logprobs": True,
        "top_logprobs": TOP_LOGPROBS,
        "response_format": {"type": "json_schema", "json_schema": {"name": "label", "strict": True, "schema": form}},
    }


def _property(field: Field) -> dict[str, Any]:
    one = {"type": "string", "enum": list(field.classes)}
    return {"type": "array", "items": one} if field.multi else one


def read_reply(body: Any, model: str, schema: LabelSchema) -> Reply:
    """Logits of a reply.

    Raises:
        RefusedError: it can't be used.
    """
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        raise RefusedError("no chat completion")
    # Servers answer `name` with `name-2024-08-06`; anything else is another model than the one that was asked.
    if not str(body.get("model", model)).startswith(model):
        raise RefusedError("answered by another model")
    if len(body["choices"]) != 1 or not isinstance(body["choices"][0], dict):
        raise RefusedError("not one choice")
    choice = body["choices"][0]
    message = choice.get("message") or {}
    if message.get("refusal"):
        raise RefusedError("the model refused")
    if choice.get("finish_reason") not in ("stop", None):
        raise RefusedError(f"finish_reason {choice['finish_reason']}")
    content = message.get("content")
    answer = _parsed(content)
    tokens = _tokens(choice)
    parts = [_field_logits(field, answer, str(content), tokens, len(schema.fields) == 1) for field in schema.fields]
    usage = body.get("usage") or {}
    return Reply(
        logits=np.concatenate(parts).astype(np.float32),
        num_input_tokens=_count(usage, "prompt_tokens"),
        num_output_tokens=_count(usage, "completion_tokens"),
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name, 0)
    return value if isinstance(value, int) and value >= 0 else 0


def _parsed(content: Any) -> dict[str, Any]:
    if not isinstance(content, str):
        raise RefusedError("no content")
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        raise RefusedError("no JSON") from None
    if not isinstance(answer, dict):
        raise RefusedError("no JSON object")
    return answer


def _tokens(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The reply's tokens with their log-probabilities; empty where the server gives none.

    Raises:
        RefusedError: log-probabilities that are no such thing.
    """
    tokens = checked_tokens(choice.get("logprobs"))
    if tokens is None:
        raise RefusedError("broken logprobs")
    return tokens


def _field_logits(
    field: Field, answer: Mapping[str, Any], content: str, tokens: Sequence[Mapping[str, Any]], only: bool
) -> FloatArray:
    if field.name not in answer:
        raise RefusedError("a field is missing")
    value = answer[field.name]
    if field.multi:
        return _multi(field, value)
    if value not in field.classes:
        raise RefusedError("unknown label")
    found = _masses(field.classes, str(value), content, tokens) if tokens and only else None
    if found is None:
        rest = (1 - CONFIDENCE) / max(len(field.classes) - 1, 1)
        found = np.full(len(field.classes), rest)
        found[field.classes.index(value)] = CONFIDENCE
    return np.log(np.maximum(found, SMALLEST))


def _masses(classes: Sequence[str], said: str, content: str, tokens: Sequence[Mapping[str, Any]]) -> FloatArray | None:
    """Probability of each class; None when the tokens can't be followed."""
    spellings = {name: json.dumps(name, ensure_ascii=False)[1:] for name in classes}
    start = content.find(json.dumps(said, ensure_ascii=False)) + 1
    return (
        label_masses([spellings[name] for name in classes], spellings[said], content, tokens, start) if start else None
    )


def _multi(field: Field, value: Any) -> FloatArray:
    if not isinstance(value, list) or any(name not in field.classes for name in value):
        raise RefusedError("unknown label")
    odds = math.log(CONFIDENCE / (1 - CONFIDENCE))
    return np.array([odds if name in value else -odds for name in field.classes])
