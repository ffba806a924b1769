"""A student of texts as the model of sentences that the cosine metric asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from potstill.errors import ConfigurationError
from potstill.runtime.model import load
from potstill.server.graders.grading import Embed


def open_embedder(bundle: Path) -> Embed:
    """Loads a bundle, so that a wrong or damaged one is known at start.

    Raises:
        ConfigurationError: it gives no embeddings.
        BundleError: it is damaged.
    """
    model = load(bundle)
    size = model.manifest.embedding_size
    if size is None:
        raise ConfigurationError(
            f"--embeddings {bundle}: this bundle gives no embeddings. Students that read texts as pieces do (cnn, "
            "static, encoder), unless they were written before there were any; then distil the student again."
        )

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        full = [text for text in texts if text.strip()]
        vectors = iter(await run_in_threadpool(model.embed, full))
        # An empty text looks like nothing, and is like nothing.
        return [next(vectors).tolist() if text.strip() else [0.0] * size for text in texts]

    return embed
