"""Completions: a text goes on."""

from __future__ import annotations

from typing import Any, final

from potstill.server.errors import invalid
from potstill.server.writing.asking import Sampling, at_least_one, sampling
from potstill.server.writing.engines import ModelFile
from potstill.server.writing.telling import told_usage

Json = dict[str, Any]
USUAL_TOKENS, MOST_LOGPROBS = 16, 5


class TextOptions(Sampling, kw_only=True):
    """What a completion may ask for."""

    model: str
    prompt: str | list[Any] = ""
    max_tokens: int | None = None
    logprobs: int | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


def text_request(options: TextOptions, model: ModelFile) -> Json:
    """The request for llama.cpp.

    Raises:
        ApiError: 400.
    """
    prompt = options.prompt
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise invalid("'prompt' is one text; several, token ids and empty ones are not served.", "prompt")
    for name, usual in (("echo", False), ("suffix", ""), ("best_of", 1)):
        if (value := getattr(options, name)) is not None and value != usual:
            raise invalid(f"'{name}' is not served.", name, "unsupported_parameter")
    longest = min(USUAL_TOKENS, model.max_new_tokens)
    asked = {
        **sampling(options),
        "prompt": prompt,
        "max_tokens": at_least_one(options.max_tokens, longest, "max_tokens"),
    }
    if options.logprobs is not None:
        if not 0 <= options.logprobs <= MOST_LOGPROBS:
            raise invalid(f"'logprobs' is from 0 to {MOST_LOGPROBS}.", "logprobs", "invalid_value")
        asked["logprobs"] = max(1, options.logprobs)
    return asked


def text_chunk(chunk: Json) -> Json:
    """A chunk of llama.cpp in the published form."""
    choices = []
    for choice in chunk["choices"]:
        found = (choice.get("logprobs") or {}).get("content")
        logprobs = _logprobs(found) if found else None
        finish = choice.get("finish_reason")
        choices.append({"text": choice["text"], "index": 0, "logprobs": logprobs, "finish_reason": finish})
    return {"choices": choices, **told_usage(chunk)}


def _logprobs(tokens: list[Json]) -> Json:
    return {
        "tokens": [token["token"] for token in tokens],
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": [{top["token"]: top["logprob"] for top in token["top_logprobs"]} for token in tokens],
        "text_offset": [],
    }


@final
class TextWhole:
    """Takes chunks and holds the whole answer."""

    def __init__(self) -> None:
        self.rest: Json = {}
        self._texts: list[str] = []
        self._logprobs: Json | None = None
        self._finish = "stop"

    def add(self, chunk: Json) -> None:
        """Takes one."""
        self.rest |= {name: chunk[name] for name in ("usage", "potstill") if name in chunk}
        for choice in chunk["choices"]:
            self._texts.append(choice["text"])
            self._finish = choice["finish_reason"] or self._finish
            if choice["logprobs"]:
                joined = self._logprobs or {name: [] for name in choice["logprobs"]}
                self._logprobs = {name: [*values, *choice["logprobs"][name]] for name, values in joined.items()}

    def to_json(self) -> Json:
        """The choices, usage and the extension field."""
        logprobs = self._logprobs
        if logprobs is not None:
            ends = [0]
            for token in logprobs["tokens"]:
                ends.append(ends[-1] + len(token))
            logprobs = {**logprobs, "text_offset": ends[:-1]}
        choice = {"text": "".join(self._texts), "index": 0, "logprobs": logprobs, "finish_reason": self._finish}
        return {"choices": [choice], **self.rest}
