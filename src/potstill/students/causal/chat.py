"""Chats as tokens: what a causal language model reads, and where its answer begins and ends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from potstill.errors import ConfigurationError
from potstill.signals.token_capture import TokenSample
from potstill.types import IntArray

# ChatML without a system turn of its own accord: such a turn would cost tokens in every row and say nothing new.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PLAIN = "{% for message in messages %}{{ message['content'] + '\n' }}{% endfor %}"
_PROBE = [{"role": "user", "content": "?"}]


@dataclass(frozen=True)
class ChatTokens:
    """A tokenizer with its chat template.

    Attributes:
        tokenizer: of transformers, with an end token.
    """

    tokenizer: Any

    def __post_init__(self) -> None:
        if self.tokenizer.eos_token_id is None:
            raise ConfigurationError(
                "the model's tokenizer names no token that ends an answer (eos_token), so a student would never stop. "
                "Name one in its tokenizer_config.json."
            )

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Token ids of the turns before an answer, and of what opens it."""
        return self.ids(self.text_of(messages))

    def sample(self, messages: Sequence[Mapping[str, str]]) -> TokenSample:
        """A chat for a teacher to answer."""
        text = self.text_of(messages)
        ids = self.ids(text)
        return TokenSample(text=text, ids=ids, first=len(ids))

    def text_of(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The turns as the template writes them."""
        return str(self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))

    def answer(self, text: str) -> list[int]:
        """Token ids of an answer with its end."""
        return [*self.ids(text), self.end]

    def ids(self, text: str) -> list[int]:
        """Token ids of a text as it stands."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def byte_ends(self, ids: Sequence[int], start: int = 0) -> IntArray:
        """Where tokens end in the UTF-8 bytes of the text that they spell, from `start` on; the end mark has none.

        A piece of a byte-level tokenizer is written with one character a byte; other marks stand as they are.
        """
        added = self.tokenizer.added_tokens_decoder
        sizes = []
        for number, piece in zip(ids, self.tokenizer.convert_ids_to_tokens(list(ids)), strict=True):
            sizes.append(len(piece.encode()) if int(number) in added else len(piece))
        if len(ids) and int(ids[-1]) == self.end and start:
            sizes[-1] = 0
        return start + np.cumsum(np.array(sizes, np.int64))

    def is_on_bytes(self) -> bool:
        """Whether pieces are written with one character a byte, which `byte_ends` counts on."""
        return '"ByteLevel"' in json.dumps(json.loads(self.tokenizer.backend_tokenizer.to_str())["decoder"])

    def has_ids_of(self, other: ChatTokens) -> bool:
        """Whether every id says the same in both, the end too."""
        return other is self or (self.end == other.end and self.tokenizer.get_vocab() == other.tokenizer.get_vocab())

    def spelled(self, ids: Sequence[int]) -> str:
        """What an answer says, space and other marks as they stand, without its end."""
        kept = [int(i) for i in ids if int(i) != self.end]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def text(self, ids: Sequence[int]) -> str:
        """What an answer says, without its end and other marks."""
        kept = [int(i) for i in ids if int(i) != self.end]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()


def settle_template(tokenizer: Any, *, is_tuned: bool) -> ChatTokens:
    """The tokenizer with the template that a run uses.

    A model that is tuned here is tuned on the template without a system turn that nobody asked for; one that isn't
    keeps what it was trained on.
    """
    if not tokenizer.chat_template:
        has_marks = tokenizer.convert_tokens_to_ids("<|im_start|>") not in (None, tokenizer.unk_token_id)
        tokenizer.chat_template = CHATML if has_marks else PLAIN
    elif (
        is_tuned
        and "<|im_start|>" in tokenizer.chat_template
        and "<|im_start|>system" in ChatTokens(tokenizer).text_of(_PROBE)
    ):
        tokenizer.chat_template = CHATML
    return ChatTokens(tokenizer)
