"""Pages by cursor: a page starts after the row that the client saw last, however many rows stand before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from sqlalchemy import ColumnElement, Select

from potstill.server.errors import invalid, not_found

MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PageRequest:
    """What the client asked for.

    Attributes:
        after: id of the row before the page, empty for the first page.
        limit: rows.
        ascending: oldest first.
    """

    after: str
    limit: int
    ascending: bool

    def select(self, query: Select[Any], seq: ColumnElement[int], after_seq: int | None) -> Select[Any]:
        """One row more than asked for, which tells whether there is more."""
        if after_seq is not None:
            query = query.where(seq > after_seq if self.ascending else seq < after_seq)
        return query.order_by(seq if self.ascending else seq.desc()).limit(self.limit + 1)

    def of_list(self, rows: Sequence[Mapping[str, Any]], what: str) -> dict[str, Any]:
        """The page of a list that is whole in memory, its oldest row first.

        Raises:
            ApiError: 404: no row is named as the one before the page.
        """
        found = list(rows) if self.ascending else list(reversed(rows))
        if self.after:
            places = [place for place, row in enumerate(found) if row["id"] == self.after]
            if not places:
                raise not_found(what, self.after, "after")
            found = found[places[0] + 1 :]
        return self.page(found)

    def page(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The body of the answer; every row has an `id`."""
        data = list(rows[: self.limit])
        return page_body(data, [row["id"] for row in data], has_more=len(rows) > self.limit)


def page_body(data: Sequence[Any], ids: Sequence[str], *, has_more: bool) -> dict[str, Any]:
    """A list as the SDK pages through it; the published schema wants texts, so ids of an empty page are empty."""
    first, last = (ids[0], ids[-1]) if ids else ("", "")
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}


def read_page(query: Mapping[str, str], *, limit: int = 20, max_limit: int = 100, order: str = "desc") -> PageRequest:
    """Reads `after`, `limit` and `order` of a query string.

    Raises:
        ApiError: 400, with the name of the parameter.
    """
    text = query.get("limit")
    if text is not None:
        if not text.isascii() or not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= max_limit:
            raise invalid(
                f"Invalid 'limit': expected a whole number from 1 to {max_limit}, got '{text[:50]}'.",
                "limit",
                "invalid_value",
            )
        limit = int(text)
    order = query.get("order", order)
    if order not in ("asc", "desc"):
        raise invalid(f"Invalid 'order': expected 'asc' or 'desc', got '{order[:50]}'.", "order", "invalid_value")
    return PageRequest(after=query.get("after", ""), limit=limit, ascending=order == "asc")


def read_time(query: Mapping[str, str], name: str) -> int | None:
    """A Unix time of a query string.

    Raises:
        ApiError: 400.
    """
    text = query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 11:
        raise invalid(f"Invalid '{name}': expected a Unix time in seconds.", name, "invalid_value")
    return int(text)


def metadata_filter(query: Mapping[str, str]) -> dict[str, str]:
    """The pairs of `metadata[key]=value`."""
    return {
        name[len("metadata[") : -1]: value
        for name, value in query.items()
        if name.startswith("metadata[") and name.endswith("]")
    }


def check_metadata(metadata: Mapping[str, Any] | None) -> dict[str, str] | None:
    """OpenAI's limits: 16 pairs of texts, 64 and 512 characters.

    Raises:
        ApiError: 400.
    """
    if metadata is None:
        return None
    if len(metadata) > MAX_PAIRS:
        raise invalid(
            f"Invalid 'metadata': too many properties. Expected an object with at most {MAX_PAIRS} properties, but got "
            f"an object with {len(metadata)} properties instead.",
            "metadata",
            "object_above_max_properties",
        )
    for key, value in metadata.items():
        if len(key) > MAX_KEY:
            raise invalid(
                f"Invalid 'metadata': property name too long. Expected at most {MAX_KEY} characters, got {len(key)}.",
                "metadata",
                "string_above_max_length",
            )
        param = f"metadata.{key}"
        if not isinstance(value, str):
            raise invalid(f"Invalid type for '{param}': expected a string.", param, "invalid_type")
        if len(value) > MAX_VALUE:
            raise invalid(
                f"Invalid '{param}': string too long. Expected a string with maximum length {MAX_VALUE}, but got a "
                f"string with length {len(value)} instead.",
                param,
                "string_above_max_length",
            )
    return dict(metadata)
