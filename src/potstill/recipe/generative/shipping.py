"""The student as a bundle: safetensors for servers, GGUF for llama.cpp, and what they must answer."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill import __version__
from potstill.data.prompts import Chat
from potstill.runtime.bundle import write_bundle
from potstill.runtime.generating import GenerativeManifest
from potstill.students.causal import save_causal_lm
from potstill.students.causal.chat import ChatTokens

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
) -> str:
    """Writes the bundle and returns its digest.

    Args:
        folder: replaced as a whole.
        model: in bf16.
        tokens: of the model.
        probes: chats with what the model answers.
        max_new_tokens: longest answer.
        answers: where they are a closed set.
        licenses: part -> licence.
        evaluation: the result line.
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
        files = {path.name: path.read_bytes() for path in sorted(saved.iterdir())}
    return write_bundle(folder, manifest, files)
