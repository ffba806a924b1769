"""A student that writes, in llama.cpp through the package xllamacpp."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from potstill.errors import BundleError, DataError, MissingExtraError

TIMEOUT_S = 60
PROMPT_CACHE_MIB = 256
"""Prompts that were read and may come again; llama.cpp alone would take 8 GiB."""
Work = Literal["chat", "text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        text: what it says.
        num_prompt_tokens: of the prompt.
        num_cached_tokens: of these, taken from what the prompt before had computed.
        num_new_tokens: of the answer.
        is_whole: False where it was cut off at the limit.
        first_s: seconds until the first piece of it; None where there was none.
    """

    text: str
    num_prompt_tokens: int
    num_cached_tokens: int
    num_new_tokens: int
    is_whole: bool
    first_s: float | None


class RefusedError(DataError):
    """llama.cpp can't answer such a request.

    Attributes:
        kind: its name of the reason, such as `exceed_context_size_error`.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


def open_llama(gguf: Path, *, context_length: int, threads: int, secret: str = "") -> Any:
    """A GGUF file in llama.cpp's server, inside this process.

    Args:
        gguf: the file.
        context_length: most tokens of prompt and answer together.
        threads: that compute.
        secret: without it other programs of this machine could ask at the port that llama.cpp opens.

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
    params.cache_ram_mib = PROMPT_CACHE_MIB
    if secret:
        params.api_keys = [secret]
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise BundleError(f"llama.cpp can't read {gguf}: {error}") from error


class LlamaGenerator:
    """A GGUF file, ready to answer. One thread by default: on a shared machine more wait for each other."""

    def __init__(self, gguf: Path, *, context_length: int = 2048, threads: int = 1) -> None:
        self._secret = secrets.token_urlsafe(24)
        self._server = open_llama(gguf, context_length=context_length, threads=threads, secret=self._secret)

    @cached_property
    def takes_tools(self) -> bool:
        """Whether the file's chat template has a place for tools; llama.cpp leaves them out of others."""
        caps = self._properties().get("chat_template_caps") or {}
        return bool(caps.get("supports_tools") or caps.get("supports_tool_calls"))

    def reply(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_new_tokens: int,
        on_text: Callable[[str], None] | None = None,
        **options: Any,
    ) -> Reply:
        """The greedy answer to a chat; its beginning is taken from the cache where it is that of the one before.

        Args:
            messages: turns with `role` and `content`.
            max_new_tokens: longest answer.
            on_text: told every piece as it is written.
            options: further ones of llama.cpp's chat completion, such as `response_format`.

        Raises:
            RefusedError: it can't be answered, as where the prompt is too long.
        """
        pieces: list[str] = []
        last: dict[str, Any] = {}
        first: list[float] = []
        started = perf_counter()

        def hear(chunk: dict[str, Any]) -> bool:
            last.update({name: chunk[name] for name in ("usage",) if chunk.get(name)})
            for choice in chunk["choices"]:
                last.update({"finish": choice["finish_reason"]} if choice.get("finish_reason") else {})
                if text := choice["delta"].get("content"):
                    first.append(perf_counter() - started)
                    pieces.append(text)
                    if on_text:
                        on_text(text)
            return False

        body = {"messages": list(messages), "temperature": 0, "max_tokens": max_new_tokens}
        self.stream("chat", {**body, **options}, hear)
        usage = last.get("usage", {})
        return Reply(
            text="".join(pieces).strip(),
            num_prompt_tokens=int(usage.get("prompt_tokens", 0)),
            num_cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)),
            num_new_tokens=int(usage.get("completion_tokens", 0)),
            is_whole=last.get("finish") == "stop",
            first_s=first[0] if first else None,
        )

    def stream(self, work: Work, body: Mapping[str, Any], hear: Callable[[dict[str, Any]], bool]) -> None:
        """Answers a request of OpenAI's API in chunks, the last one with the usage.

        Args:
            work: `chat` for chat completions, `text` for completions.
            body: of the request.
            hear: told every chunk; stops the answer where it returns True.

        Raises:
            RefusedError: it can't be answered.
        """
        refused: list[Mapping[str, Any]] = []

        def each(chunk: dict[str, Any]) -> bool:
            if "error" in chunk:
                refused.append(chunk["error"])
                return True
            return hear(chunk)

        asked = {**body, "stream": True, "stream_options": {"include_usage": True}, "cache_prompt": True}
        handle = self._server.handle_chat_completions if work == "chat" else self._server.handle_completions
        try:
            handle(asked, each)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        if refused:
            raise RefusedError(str(refused[0].get("message", refused[0])), str(refused[0].get("type", "")))

    def _properties(self) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self._server.listening_address}/props", headers={"Authorization": f"Bearer {self._secret}"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            found: dict[str, Any] = json.load(response)
            return found
