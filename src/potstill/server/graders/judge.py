"""Asks a model to judge, and reads what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from potstill.errors import PotstillError
from potstill.server.graders.grading import GraderError, Means

# The API's own spelling is singular; graders were published with a plural.
RENAMED = {"max_completions_tokens": "max_completion_tokens"}


def judge_body(
    model: str, messages: Sequence[Mapping[str, Any]], schema: Mapping[str, Any], sampling: Mapping[str, Any]
) -> dict[str, Any]:
    """The chat completion that asks for an answer of this JSON schema."""
    options = {RENAMED.get(name, name): value for name, value in sampling.items() if value is not None}
    form = {"name": "grade", "strict": True, "schema": dict(schema)}
    return {
        **options,
        "model": model,
        "messages": list(messages),
        "response_format": {"type": "json_schema", "json_schema": form},
    }


async def ask_judge(body: dict[str, Any], means: Means) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the judge said as a JSON object, and the sample that a report keeps of it.

    Raises:
        GraderError: no judge, none that answers, a refusal, or no JSON object.
    """
    if means.ask is None:
        raise GraderError("this grader asks a model, and this server has none for it", "model_grader_server_error")
    try:
        completion = await means.ask(body)
    except PotstillError as error:
        raise GraderError(
            f"the judge {body['model']!r} can't be asked: {error}", "model_grader_server_error"
        ) from error
    choice = (completion.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    if message.get("refusal"):
        raise GraderError(f"the judge refused: {message['refusal']}", "model_grader_refusal_error")
    said = message.get("content") or ""
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise GraderError(f"the judge said no JSON object: {said[:200]!r}", "model_grader_parse_error")
    return answer, _sample(body, completion, choice, said)


def _sample(
    body: Mapping[str, Any], completion: Mapping[str, Any], choice: Mapping[str, Any], said: str
) -> dict[str, Any]:
    return {
        "input": body["messages"],
        "output": [{"role": "assistant", "content": said}],
        "finish_reason": choice.get("finish_reason") or "stop",
        "model": completion.get("model") or body["model"],
        "usage": dict(completion.get("usage") or {}),
        "error": None,
        "seed": body.get("seed"),
        "temperature": body.get("temperature"),
        "top_p": body.get("top_p"),
        "max_completion_tokens": body.get("max_completion_tokens"),
    }
