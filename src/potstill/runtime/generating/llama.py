"""A student that writes, in llama.cpp through the package xllamacpp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.errors import BundleError, MissingExtraError


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        text: what it says.
        num_prompt_tokens: of the prompt.
        num_cached_tokens: of these, taken from what the prompt before had computed.
        num_new_tokens: of the answer.
        is_whole: False where it was cut off at the limit.
    """

    text: str
    num_prompt_tokens: int
    num_cached_tokens: int
    num_new_tokens: int
    is_whole: bool


def open_llama(gguf: Path, *, context_length: int, threads: int) -> Any:
    """A GGUF file in llama.cpp's server, inside this process.

    Raises:
        MissingExtraError: `xllamacpp` is not installed.
        BundleError: llama.cpp can't read the file.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtraError("xllamacpp", "llama") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel = context_length, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup, params.verbosity, params.port = False, -1, 0
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise BundleError(f"llama.cpp can't read {gguf}: {error}") from error


class LlamaGenerator:
    """A GGUF file, ready to answer. One thread by default: on a shared machine more wait for each other."""

    def __init__(self, gguf: Path, *, context_length: int = 2048, threads: int = 1) -> None:
        self._server = open_llama(gguf, context_length=context_length, threads=threads)

    def reply(self, messages: Sequence[Mapping[str, str]], *, max_new_tokens: int, **options: Any) -> Reply:
        """The greedy answer to a chat; its beginning is taken from the cache where it is that of the one before.

        Args:
            messages: turns with `role` and `content`.
            max_new_tokens: longest answer.
            options: further ones of llama.cpp's chat completion, such as `response_format`.
        """
        body = {"messages": list(messages), "temperature": 0, "max_tokens": max_new_tokens, "cache_prompt": True}
        found = self._server.handle_chat_completions({**body, **options})
        if "choices" not in found:
            raise BundleError(f"llama.cpp gave no answer: {found}")
        choice, usage = found["choices"][0], found.get("usage", {})
        return Reply(
            text=str(choice["message"]["content"]).strip(),
            num_prompt_tokens=int(usage.get("prompt_tokens", 0)),
            num_cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)),
            num_new_tokens=int(usage.get("completion_tokens", 0)),
            is_whole=choice.get("finish_reason") == "stop",
        )
