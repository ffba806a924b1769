"""Which of two answers is better, as a judging model says, asked in both orders. N rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from potstill.errors import DataError
from potstill.evaluation.assessment import Interval
from potstill.evaluation.significance import binomial_p, paired_interval

Ask = Callable[[Sequence[str]], Sequence[str | None]]
QUESTION = """Two assistants answered the same request. Decide which answer is better: more correct first, then more \
helpful, then more to the point. Ignore the order in which they stand, and their length.

Request:
{prompt}

Answer A:
{first}

Answer B:
{second}

Reply with one word: A, B or tie."""
_VERDICT = re.compile(r"\b(A|B|tie)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class PairwiseScore:
    """How one contender fares against another; equal answers are ties and nobody is asked about them.

    Attributes:
        num_rows: rows compared.
        wins, ties, losses: of the first contender.
        num_swayed: rows among the ties where the judge took what stood in the same place both times.
        num_unread: rows among the ties where it said something else in at least one order.
        num_equal: rows among the ties whose answers are equal.
        score: wins and half of the ties, a share of the rows.
        score_ci: bootstrap interval.
        p_value: of a sign test on wins and losses.
    """

    num_rows: int
    wins: int
    ties: int
    losses: int
    num_swayed: int
    num_unread: int
    num_equal: int
    score: float
    score_ci: Interval
    p_value: float

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "score_ci": list(self.score_ci)}


def judge_pairs(
    prompts: Sequence[str], first: Sequence[str], second: Sequence[str], ask: Ask, *, seed: int = 0
) -> PairwiseScore:
    """Asks about every row twice, with the answers swapped, since judges favour places (Zheng et al. 2023, 2306.05685).

    A row is won when the judge prefers the same answer in both orders, and a tie otherwise.

    Args:
        prompts: N requests.
        first: N answers of the contender that is scored.
        second: N answers of the other.
        ask: gives the judge's reply to each question, None where there is none.
        seed: of the bootstrap.

    Raises:
        DataError: no row, or a judge that can't be read in more than half of what it was asked.
    """
    if not prompts:
        raise DataError("there is no pair of answers to judge")
    rows, asked = questions(prompts, first, second)
    said = [read_verdict(reply) for reply in ask(asked)] if asked else []
    straight, swapped = said[: len(rows)], said[len(rows) :]
    points_N = np.full(len(prompts), 0.5)
    num_swayed = num_unread = 0
    for i, one, other in zip(rows, straight, swapped, strict=True):
        if one is None or other is None:
            num_unread += 1
        elif (one, other) in (("a", "b"), ("b", "a")):
            points_N[i] = 1.0 if one == "a" else 0.0
        elif one == other != "tie":
            num_swayed += 1
    if num_unread * 2 > len(rows):
        raise DataError(
            f"the judge's reply to {num_unread} of {len(rows)} pairs was neither A nor B nor tie, so nothing can be "
            "said of them. Take a judge that follows instructions."
        )
    wins, losses = int((points_N == 1).sum()), int((points_N == 0).sum())
    return PairwiseScore(
        num_rows=len(prompts),
        wins=wins,
        ties=len(prompts) - wins - losses,
        losses=losses,
        num_swayed=num_swayed,
        num_unread=num_unread,
        num_equal=len(prompts) - len(rows),
        score=float(points_N.mean()),
        score_ci=paired_interval(points_N, seed=seed),
        p_value=binomial_p(min(wins, losses), wins + losses),
    )


def questions(prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> tuple[list[int], list[str]]:
    """Rows whose answers differ, and what is asked about them: all in one order, then all in the other."""
    rows = [i for i in range(len(prompts)) if " ".join(first[i].split()) != " ".join(second[i].split())]
    asked = [QUESTION.format(prompt=prompts[i], first=first[i], second=second[i]) for i in rows]
    return rows, asked + [QUESTION.format(prompt=prompts[i], first=second[i], second=first[i]) for i in rows]


def read_verdict(reply: str | None) -> str | None:
    """`a`, `b` or `tie`; None where the reply names none of them, or several."""
    found: set[str] = {word.lower() for word in _VERDICT.findall(reply or "")}
    # "A" is an article too: a longer reply counts only by its first word.
    if len(found) != 1 or (len((reply or "").split()) > 1 and not _VERDICT.match((reply or "").strip(" *\"'("))):
        return None
    return found.pop()
