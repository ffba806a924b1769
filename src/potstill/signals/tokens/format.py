"""What a teacher's token signals mean: of which kind, in which vocabulary, after which template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, final, get_args

from potstill.errors import ConfigurationError, StoreError

SignalKind = Literal["top_k", "sampled", "hidden", "text"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TokenFormat:
    """The manifest of an entry's token signals; another tokenizer, template or vocabulary is another entry.

    Attributes:
        kind: `top_k` keeps the most probable tokens and the mass of the rest, `sampled` draws (unbiased), `hidden` the
            state under the head (exact, for any loss), `text` the answer alone.
        width: kept tokens, draws, or width of the state; 0 for text.
        vocabulary_size: ids that mean something, padding of the head not counted.
        tokenizer: SHA-256 (hex) of tokenizer.json.
        template: SHA-256 (hex) of the chat template; of nothing where there is none.
    """

    kind: SignalKind
    width: int
    vocabulary_size: int
    tokenizer: str
    template: str

    def __post_init__(self) -> None:
        if self.kind not in get_args(SignalKind):
            raise ConfigurationError(f"signal is {self.kind!r}; known are {', '.join(get_args(SignalKind))}")
        if (self.width < 1) != (self.kind == "text") or self.width > 65_535:
            raise ConfigurationError(f"a signal of kind {self.kind} can't keep {self.width} numbers a token")
        if self.kind == "sampled" and self.width > 255:
            raise ConfigurationError(f"{self.width} draws a token; at most 255 are kept, and 12 are enough as a rule")
        if self.kind == "top_k" and self.width > self.vocabulary_size:
            raise ConfigurationError(f"top {self.width} of a vocabulary of {self.vocabulary_size} tokens")

    def to_json(self) -> dict[str, Any]:
        """The form in keys and heads of shards."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TokenFormat:
        """Reads what `to_json` wrote."""
        return cls(
            kind=content["kind"],
            width=int(content["width"]),
            vocabulary_size=int(content["vocabulary_size"]),
            tokenizer=str(content["tokenizer"]),
            template=str(content["template"]),
        )

    def require(self, *, tokenizer: str, template: str, vocabulary_size: int) -> None:
        """Refuses to be read with anything but what it was made with.

        Raises:
            StoreError: ids or prompts would mean something else.
        """
        given = {"tokenizer": tokenizer, "template": template, "vocabulary_size": vocabulary_size}
        other = [
            f"{name} {getattr(self, name)!s:.12} and not {value!s:.12}"
            for name, value in given.items()
            if getattr(self, name) != value
        ]
        if other:
            raise StoreError(
                f"the stored answers were made with {', '.join(other)}: their token ids mean something else here, and "
                "a student would learn noise. Ask the teacher again, or align the records by bytes."
            )
