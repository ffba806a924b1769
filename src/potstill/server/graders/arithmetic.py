"""Formulas over scores: + - * / ^, min, max, abs, floor, ceil, exp, sqrt, log. Parsed here; nothing is executed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from potstill.server.graders.grading import GraderError

TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)|([A-Za-z_]\w*)|([-+*/^(),]))")
FUNCTIONS: Mapping[str, tuple[int | None, Callable[..., float]]] = {
    "min": (None, min),
    "max": (None, max),
    "abs": (1, abs),
    "floor": (1, math.floor),
    "ceil": (1, math.ceil),
    "exp": (1, math.exp),
    "sqrt": (1, math.sqrt),
    "log": (1, math.log),
}
LONGEST = 2000
DEEPEST = 50


def evaluate(formula: str, scores: Mapping[str, float]) -> float:
    """The value of a formula; names are scores.

    Raises:
        GraderError: it can't be read, names an unknown score, or has no finite value.
    """
    parser = _Parser(tokens=_tokens(formula), formula=formula, scores=scores)
    try:
        value = parser.sum()
        if parser.position < len(parser.tokens):
            raise parser.wrong()
        finite = math.isfinite(value)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise GraderError(f"{formula!r} has no value for these scores: {error}", "unresponsive_reward_error") from error
    if not finite:
        raise GraderError(f"{formula!r} is {value} for these scores", "unresponsive_reward_error")
    return float(value)


def _tokens(formula: str) -> list[str]:
    if len(formula) > LONGEST:
        raise GraderError(f"the formula is longer than {LONGEST} characters", "formula_parse_error")
    found, end = [], 0
    while formula[end:].strip():
        match = TOKEN.match(formula, end)
        if match is None:
            raise GraderError(
                f"{formula!r} can't be read from {formula[end:].strip()[:20]!r} on", "formula_parse_error"
            )
        found.append(match[0].strip())
        end = match.end()
    return found


@dataclass
class _Parser:
    """Recursive descent; a power binds tighter than a sign, and to the right."""

    tokens: Sequence[str]
    formula: str
    scores: Mapping[str, float]
    position: int = 0
    depth: int = field(default=0)

    def wrong(self) -> GraderError:
        here = self.tokens[self.position] if self.position < len(self.tokens) else "its end"
        return GraderError(f"{self.formula!r} can't be read at {here!r}", "formula_parse_error")

    def _peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        if token not in wanted:
            raise self.wrong()
        self.position += 1
        return token

    def sum(self) -> float:
        """Terms joined by + and -."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise GraderError(f"the formula is nested more than {DEEPEST} deep", "formula_parse_error")
        value = self._product()
        while self._peek() in ("+", "-"):
            sign = 1 if self._take("+", "-") == "+" else -1
            value += sign * self._product()
        self.depth -= 1
        return value

    def _product(self) -> float:
        value = self._signed()
        while self._peek() in ("*", "/"):
            if self._take("*", "/") == "*":
                value *= self._signed()
            else:
                value /= self._signed()
        return value

    def _signed(self) -> float:
        sign = 1
        while self._peek() in ("+", "-"):
            sign *= 1 if self._take("+", "-") == "+" else -1
        return sign * self._power()

    def _power(self) -> float:
        base = self._atom()
        if self._peek() != "^":
            return base
        self._take("^")
        return math.pow(base, self._signed())

    def _atom(self) -> float:
        token = self._peek()
        if token == "(":
            self._take("(")
            value = self.sum()
            self._take(")")
            return value
        if token[:1].isdigit() or token[:1] == ".":
            self.position += 1
            return float(token)
        if not token[:1].isalpha() and token[:1] != "_":
            raise self.wrong()
        self.position += 1
        if self._peek() == "(" and token in FUNCTIONS:
            return self._call(token)
        if token not in self.scores:
            raise GraderError(
                f"{self.formula!r} names {token!r}; the scores are {', '.join(self.scores)}", "invalid_variable_error"
            )
        return self.scores[token]

    def _call(self, name: str) -> float:
        self._take("(")
        arguments = [self.sum()]
        while self._peek() == ",":
            self._take(",")
            arguments.append(self.sum())
        self._take(")")
        wanted, function = FUNCTIONS[name]
        if wanted is not None and len(arguments) != wanted:
            raise GraderError(f"{name} takes one value, not {len(arguments)}", "formula_parse_error")
        return float(function(*arguments))
