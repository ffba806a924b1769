"""A budget in calls, tokens and money that is never overspent by more than what is in flight."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from potstill.errors import BudgetError


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """Limits of one capture; None is no limit.

    Attributes:
        max_calls: calls, retries included.
        max_tokens: tokens billed, in and out.
        max_cost: money, in the currency of the prices.
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None


class Meter:
    """Counts what is spent and what is about to be; for several threads."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self.calls = 0
        self.tokens = 0
        self.cost = 0.0

    def reserve(self, tokens: int, cost: float) -> None:
        """Sets aside what a call is expected to take, before it is made.

        Raises:
            BudgetError: it would pass a limit; nothing was set aside.
        """
        limits = self._budget
        with self._lock:
            for name, spent, more, limit in (
                ("calls", self.calls, 1, limits.max_calls),
                ("tokens", self.tokens, tokens, limits.max_tokens),
                ("cost", self.cost, cost, limits.max_cost),
            ):
                if limit is not None and spent + more > limit:
                    raise BudgetError(
                        f"the teacher's budget is used up: {spent:g} {name} are spent or under way, the next call "
                        f"takes about {more:g}, and the limit is {limit:g}. What was answered is kept: raise "
                        f"teacher.max_{name} and run the same command, or give fewer rows."
                    )
            self.calls += 1
            self.tokens += tokens
            self.cost += cost

    def settle(self, reserved: tuple[int, float], tokens: int, cost: float) -> None:
        """Replaces what was set aside for a call by what it took."""
        with self._lock:
            self.tokens += tokens - reserved[0]
            self.cost += cost - reserved[1]
