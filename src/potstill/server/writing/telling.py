"""From llama.cpp's chunks to the published form."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
LEAST_CACHED, CACHED_STEP = 1024, 128


def chat_chunk(chunk: Json, *, num_top: int) -> Json:
    """A `chat.completion.chunk`.

    Args:
        chunk: of llama.cpp.
        num_top: alternatives that the client asked for.
    """
    choices = []
    for choice in chunk["choices"]:
        delta = dict(choice["delta"])
        if delta.get("role") and delta.get("content") is None and not delta.get("tool_calls"):
            delta["content"] = ""
        logprobs = choice.get("logprobs")
        shown = {"index": 0, "delta": delta, "finish_reason": choice.get("finish_reason"), "logprobs": None}
        if logprobs:
            content = [{**_token(t), "top_logprobs": _top(t, num_top)} for t in logprobs["content"]]
            shown["logprobs"] = {"content": content, "refusal": None}
        choices.append(shown)
    return {"choices": choices, **told_usage(chunk)}


def told_usage(chunk: Json) -> Json:
    """Usage by OpenAI's rule, and what was really reused beside it; nothing where the chunk has none."""
    given = chunk.get("usage")
    if not given:
        return {}
    cached = int((given.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    prompt, written = int(given["prompt_tokens"]), int(given["completion_tokens"])
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": floored(cached), "audio_tokens": 0},
    }
    timings = chunk.get("timings") or {}
    speed = {"prefill_ms": timings.get("prompt_ms"), "tokens_per_s": timings.get("predicted_per_second")}
    return {"usage": usage, "potstill": {"cached_tokens": cached, **speed}}


def floored(cached: int) -> int:
    """Cached tokens as OpenAI counts them: none below 1,024, and whole steps of 128."""
    return cached // CACHED_STEP * CACHED_STEP if cached >= LEAST_CACHED else 0


def _top(token: Json, num_top: int) -> list[Json]:
    return [_token(other) for other in token["top_logprobs"][:num_top]]


def _token(token: Json) -> Json:
    return {name: token[name] for name in ("token", "logprob", "bytes")}
