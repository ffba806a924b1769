"""Students and teachers that write: GGUF files in llama.cpp behind chat completions and completions."""

from potstill.server.writing.engines import Engines, ModelFile
from potstill.server.writing.writer import Writer, open_writer

__all__ = ["Engines", "ModelFile", "Writer", "open_writer"]
