"""How often somebody may come: buckets that fill with time, of a bounded number, in memory and at times in a file."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import final

from potstill.files import canonical_json, write_atomic
from potstill.server.errors import ApiError

MOST_NAMES = 100_000
# A server that is killed forgets no more than this.
SAVE_EVERY_S = 60.0


@final
class Rates:
    """One bucket a name; who hasn't come for long is forgotten, and its bucket is full again by then or soon.

    Args:
        a_second: that flow into a bucket.
        at_once: that a bucket holds.
        file: that keeps what isn't full over a restart, so that a restart gives nobody a full bucket; None keeps
            nothing. A file that can't be read is as good as none.
        clock: seconds, of a clock that goes on while the server is down.
    """

    def __init__(
        self, *, a_second: float, at_once: int, file: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._a_second = a_second
        self._at_once = at_once
        self._file = file
        self._clock = clock
        self._buckets = _read(file) if file else OrderedDict()
        self._saved_at = clock()

    def take(self, name: str) -> None:
        """Takes one out of the bucket of that name.

        Raises:
            ApiError: 429 with Retry-After: it is empty.
        """
        now = self._clock()
        left = self._left(self._buckets.pop(name, (float(self._at_once), now)), now)
        is_empty = left < 1
        self._buckets[name] = (left if is_empty else left - 1, now)
        if len(self._buckets) > MOST_NAMES:
            self._buckets.popitem(last=False)
        if now - self._saved_at > SAVE_EVERY_S:
            self.save()
        if is_empty:
            error = ApiError(429, "Too many requests; come again later.", kind="rate_limit_error", code="rate_limited")
            error.headers["retry-after"] = str(math.ceil((1 - left) / self._a_second))
            raise error

    def save(self) -> None:
        """Keeps what isn't full; nothing where there is no file."""
        self._saved_at = now = self._clock()
        if self._file is not None:
            kept = {n: bucket for n, bucket in self._buckets.items() if self._left(bucket, now) < self._at_once}
            write_atomic(self._file, canonical_json({"buckets": [[n, *bucket] for n, bucket in kept.items()]}))

    def _left(self, bucket: tuple[float, float], now: float) -> float:
        left, since = bucket
        # A clock that was set back takes nothing out.
        return min(float(self._at_once), left + max(0.0, now - since) * self._a_second)


def _read(file: Path) -> OrderedDict[str, tuple[float, float]]:
    try:
        rows = json.loads(file.read_bytes())["buckets"]
        return OrderedDict((str(name), (float(left), float(since))) for name, left, since in rows)
    except (OSError, ValueError, TypeError, KeyError):
        return OrderedDict()
