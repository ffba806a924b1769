"""A model that writes, as one who answers chat completions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import final

from potstill.errors import BundleError
from potstill.runtime.generating import GenerativeBundle
from potstill.server.accumulate import Accumulated
from potstill.server.answerers import Json
from potstill.server.writing.asking import chat_request
from potstill.server.writing.calling import called
from potstill.server.writing.engines import Engines, ModelFile
from potstill.server.writing.telling import chat_chunk


@final
@dataclass(frozen=True, slots=True)
class Writer:
    """An `Answerer`.

    Attributes:
        name: whose answers they are: `student`, or the teacher's name.
        model: on disk.
        engines: that write.
    """

    name: str
    model: ModelFile
    engines: Engines

    async def complete(self, body: Json) -> Json:
        """The answer, with what was reused of the prompt in the extension field `potstill`."""
        found = Accumulated()
        async for chunk in self.stream(body):
            found.add(chunk)
        return found.whole()

    async def stream(self, body: Json) -> AsyncIterator[Json]:
        """The same as it is written."""
        asked = chat_request(body, self.model)
        # A schema of ours beside tools is that of a call.
        is_call = asked.get("tool_choice") == "none"
        chunks = self.engines.chunks(self.model, "chat", asked)
        async for chunk in called(chunks) if is_call else chunks:
            yield chat_chunk(chunk, num_top=body.get("top_logprobs") or 0)


def open_writer(name: str, bundle: GenerativeBundle, engines: Engines) -> Writer:
    """A bundle whose student writes, ready to answer.

    Raises:
        BundleError: it has no file for llama.cpp.
    """
    if bundle.gguf is None:
        raise BundleError(
            f"{bundle.folder} holds no model.gguf, and this server writes with llama.cpp. Make the bundle again with "
            "the package gguf installed (potstill[lm])."
        )
    manifest = bundle.manifest
    limits = {"context_length": manifest.context_length, "max_new_tokens": manifest.max_new_tokens}
    return Writer(name, ModelFile(gguf=bundle.gguf, **limits), engines)
