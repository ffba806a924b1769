"""The manifest of a bundle whose student writes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from potstill.errors import BundleError
from potstill.runtime.manifest import GENERATIVE_FORMAT, MAX_MANIFEST_BYTES, NAME

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class GenerativeManifest:
    """All of a bundle but the bytes of its files.

    Attributes:
        max_new_tokens: longest answer.
        context_length: most tokens of prompt and answer together.
        answers: all answers that the student was taught, where they are a closed set; else empty.
        probes: prompts (messages) with the answers that they must give.
        licenses: part -> licence, where known.
        evaluation: the result line of the run.
        created_by: name and version of what wrote it.
        files: name -> {"sha256", "size_bytes"} of every other file: `model.safetensors` with Hugging Face's
            configuration and tokenizer, and `model.gguf` for llama.cpp where it could be written.
    """

    max_new_tokens: int
    context_length: int
    answers: Sequence[str] = ()
    probes: Sequence[Mapping[str, Any]] = ()
    licenses: Mapping[str, str] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = ""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of manifest.json."""
        return {"format": GENERATIVE_FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}


def parse_generative(content: bytes) -> GenerativeManifest:
    """Reads manifest.json; keys that this version doesn't know are left alone.

    Raises:
        BundleError: it isn't one, or of a version that this runtime can't read.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{NAME} is {len(content)} bytes; at most {MAX_MANIFEST_BYTES} are read")
    try:
        values = json.loads(content)
        if values["format"] != GENERATIVE_FORMAT or values["format_version"] != FORMAT_VERSION:
            raise BundleError(
                f"the bundle is {values['format']!r} of version {values['format_version']!r}; this runtime reads "
                f"{GENERATIVE_FORMAT!r} of version {FORMAT_VERSION}. Upgrade with: pip install --upgrade potstill"
            )
        return GenerativeManifest(
            max_new_tokens=int(values["max_new_tokens"]),
            context_length=int(values["context_length"]),
            answers=[str(answer) for answer in values.get("answers", [])],
            probes=[{"messages": list(p["messages"]), "answer": str(p["answer"])} for p in values.get("probes", [])],
            licenses=dict(values.get("licenses", {})),
            evaluation=dict(values.get("evaluation", {})),
            created_by=str(values.get("created_by", "")),
            files={
                str(name): {"sha256": str(entry["sha256"]), "size_bytes": int(entry["size_bytes"])}
                for name, entry in values["files"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(f"{NAME} lacks something or holds it in a wrong form: {error!r}") from error
