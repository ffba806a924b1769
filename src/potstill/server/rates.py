"""How often somebody may come: buckets that fill with time, in memory, of a bounded number."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import final

from potstill.server.errors import ApiError

MOST_NAMES = 100_000


@final
class Rates:
    """One bucket a name; who hasn't come for long is forgotten, and its bucket is full again by then or soon."""

    def __init__(self, *, a_second: float, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Takes one out of the bucket of that name.

        Raises:
            ApiError: 429 with Retry-After: it is empty.
        """
        now = self._clock()
        left, since = self._buckets.pop(name, (float(self._at_once), now))
        left = min(float(self._at_once), left + (now - since) * self._a_second)
        is_empty = left < 1
        self._buckets[name] = (left if is_empty else left - 1, now)
        if len(self._buckets) > MOST_NAMES:
            self._buckets.popitem(last=False)
        if is_empty:
            error = ApiError(429, "Too many requests; come again later.", kind="rate_limit_error", code="rate_limited")
            error.headers["retry-after"] = str(math.ceil((1 - left) / self._a_second))
            raise error
