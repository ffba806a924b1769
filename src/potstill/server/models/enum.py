"""What the schema of a request allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from potstill.server.compiling import AnswerField
from potstill.server.errors import invalid


def allowed_values(response_format: Any, path: tuple[str, ...]) -> list[Any] | None:
    """The enum of a value in the schema that the request asks for; None when it doesn't limit."""
    place: Any = response_format
    for name in ("json_schema", "schema", *(part for key in path for part in ("properties", key))):
        place = place.get(name) if isinstance(place, dict) else None
    if isinstance(place, dict) and "const" in place:
        return [place["const"]]
    values = place.get("enum") if isinstance(place, dict) else None
    return values if isinstance(values, list) else None


def best_allowed(field: AnswerField, label: str, by_class: Mapping[str, float], values: list[Any] | None) -> str:
    """The most probable class whose value the request's schema allows.

    Raises:
        ApiError: 400: it allows none that the student knows.
    """
    if values is None or field.values[label] in values:
        return label
    kept = {name: p for name, p in by_class.items() if field.values[name] in values}
    if not kept:
        raise invalid(
            f"The schema in 'response_format' allows none of the values that this student knows for '{field.name}'.",
            "response_format",
            "no_common_value",
        )
    return max(kept, key=lambda name: kept[name])
