"""What teachers cost, as the administrator says it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from potstill.errors import ConfigurationError

MILLION = 1_000_000


class Price(NamedTuple):
    """Of a million tokens, read and written, in any one currency."""

    prompt: float
    answer: float

    def of(self, prompt_tokens: int, answer_tokens: int) -> float:
        """Money for so many tokens."""
        return (prompt_tokens * self.prompt + answer_tokens * self.answer) / MILLION


def read_prices(options: Sequence[str]) -> tuple[tuple[str, Price], ...]:
    """Reads NAME=IN,OUT.

    Raises:
        ConfigurationError: not of this form.
    """
    found = {}
    for option in options:
        name, _, numbers = option.rpartition("=")
        try:
            prompt, answer = (float(number) for number in numbers.split(","))
        except ValueError:
            prompt = answer = math.nan
        if not name or not (0 <= prompt < math.inf and 0 <= answer < math.inf):
            raise ConfigurationError(
                f"--price {option}: expected NAME=IN,OUT, a teacher and the prices of a million tokens that it reads "
                "and writes, for example gpt-4o-mini=0.15,0.60"
            )
        if name in found:
            raise ConfigurationError(f"--price {option}: {name} has a price already. Give one a teacher.")
        found[name] = Price(prompt, answer)
    return tuple(found.items())


def price_of(prices: Mapping[str, Price], answerer: str) -> Price | None:
    """The price of a teacher; one that answers for every other model has it by that model's name, or by `*`."""
    name, slash, model = answerer.partition("/")
    return prices.get(answerer) or (prices.get(model) if slash else None) or prices.get(name)
