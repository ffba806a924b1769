"""The student as a bundle: safetensors for servers, GGUF for llama.cpp, and what they must answer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from potstill import __version__
from potstill.data.prompts import Chat
from potstill.errors import ConfigurationError
from potstill.exporters.gguf import export_gguf
from potstill.exporters.llama_cpp import check_gguf
from potstill.runtime.bundle import write_bundle
from potstill.runtime.generating import GenerativeManifest
from potstill.students.causal import save_causal_lm
from potstill.students.causal.chat import ChatTokens
from potstill.types import Progress

NUM_PROBES = 4
LONGEST_CONTEXT = 2048


def ship_writer(
    folder: Path,
    model: Any,
    tokens: ChatTokens,
    probes: Sequence[tuple[Chat, str]],
    *,
    max_new_tokens: int,
    answers: Sequence[str],
    licenses: Mapping[str, str],
    evaluation: Mapping[str, Any],
    gguf: str,
    progress: Progress,
) -> tuple[str, dict[str, Any] | None]:
    """Writes the bundle and returns its digest, and what is known of the GGUF file where there is one.

    Args:
        folder: replaced as a whole.
        model: its weights are rounded to bf16.
        tokens: of the model.
        probes: chats with what the model answers.
        max_new_tokens: longest answer.
        answers: where they are a closed set.
        licenses: part -> licence.
        evaluation: the result line.
        gguf: how weights are rounded in the file for llama.cpp, or `none`.
        progress: told why there is no such file.
    """
    manifest = GenerativeManifest(
        max_new_tokens=max_new_tokens,
        context_length=min(int(model.config.max_position_embeddings), LONGEST_CONTEXT),
        answers=list(answers),
        probes=[{"messages": chat.to_json(), "answer": text} for chat, text in probes],
        licenses=licenses,
        evaluation=evaluation,
        created_by=f"potstill {__version__}",
    )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saved.") as beside:
        saved = Path(beside) / "model"
        save_causal_lm(saved, model, tokens.tokenizer)
        facts = None if gguf == "none" else _add_gguf(saved, tokens, [chat for chat, _ in probes], gguf, progress)
        files = {path.name: path.read_bytes() for path in sorted(saved.iterdir())}
    return write_bundle(folder, manifest, files), facts


def _add_gguf(
    saved: Path, tokens: ChatTokens, probes: Sequence[Chat], quantization: str, progress: Progress
) -> dict[str, Any] | None:
    """Writes model.gguf beside the rest and compares it in llama.cpp; a model that can't be written so ships without.

    Raises:
        IntegrityError: llama.cpp computes something else.
    """
    path = saved / "model.gguf"
    try:
        facts = export_gguf(saved, path, quantization)  # type: ignore[arg-type]
    except ConfigurationError as error:  # a missing package too
        progress.say(f"no file for llama.cpp was written: {error}")
        return None
    found = {name: facts[name] for name in ("size_bytes", "quantization")}
    if not find_spec("xllamacpp"):
        progress.say("the file for llama.cpp was not compared there: xllamacpp is not installed (potstill[llama])")
        return {**found, "parity": None}
    prompts = [tokens.text_of(chat.to_json()) for chat in probes]
    return {**found, "parity": asdict(check_gguf(path, saved, prompts, quantization))}
