"""The filter as it is typed in, and as the database takes it."""

from __future__ import annotations

from datetime import UTC, date, datetime

from potstill.report.words import Words
from potstill.server.errors import ApiError, invalid
from potstill.server.matching import Filter
from potstill.server.web.views.logs import LogFilter
from potstill.server.web.visit import Visit

DAY_S = 24 * 3600
MAX_TEXT = 1000
LAST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
"""Later places in time are no 63-bit numbers."""


def typed_filter(visit: Visit, *, prefix: str = "") -> LogFilter:
    """The filter of an address, or of a form with that prefix."""
    read = visit.sent if visit.form else visit.asked
    return LogFilter(**{name: read(prefix + name)[:MAX_TEXT] for name in LogFilter.__slots__})


def to_filter(words: Words, typed: LogFilter) -> Filter:
    """What the database is asked.

    Raises:
        ApiError: 400, in the reader's language.
    """
    after, before = (_day(words, text) for text in (typed.after, typed.before))
    return Filter(
        model=typed.model or None,
        metadata=_pairs(words, typed.metadata),
        created_after=None if after is None else after - 1,
        created_before=None if before is None else before + DAY_S,
        text=typed.text or None,
    )


def _pairs(words: Words, text: str) -> dict[str, str]:
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, sign, value = part.partition("=")
        if not sign or not key.strip():
            raise _refused(words, "metadata_refused", part)
        found[key.strip()] = value.strip()
    return found


def _day(words: Words, text: str) -> int | None:
    """The first second of a day, in UTC."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        return min(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()), LAST)
    except ValueError:
        raise _refused(words, "day_refused", text) from None


def _refused(words: Words, key: str, text: str) -> ApiError:
    return invalid(words(key, text=text[:80]), code="invalid_filter")
