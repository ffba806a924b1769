"""Which JSON schemas llama.cpp holds to: it passes over keywords that it doesn't know, and such a schema is refused.

Checked against llama.cpp's converter from schema to grammar as xllamacpp 2026.10 carries it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from potstill.errors import DataError

NOTES = frozenset({"title", "description", "$schema", "$id", "default", "examples", "$comment", "deprecated"})
TABLES = ("$defs", "definitions")
BY_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    # Lengths are missing: a model may write half characters, which llama.cpp counts otherwise than who reads them.
    "string": frozenset(),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
DEEPEST = 32
MOST_VALUES = 10_000


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuses a schema that could be left by what is written under it.

    Raises:
        DataError: names the place and the keyword.
    """
    _check(schema, "the schema", 0)


def _check(schema: Any, place: str, depth: int) -> None:
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        raise DataError(f"{place} is no JSON object, or nested over {DEEPEST} deep")
    for table in TABLES:
        for name, part in (schema.get(table) or {}).items():
            _check(part, f"{place}.{table}.{name}", depth + 1)
    keys = schema.keys() - NOTES - {*TABLES}
    if "$ref" in keys:
        _only(keys, {"$ref"}, place)
        if not str(schema["$ref"]).startswith("#/"):
            raise DataError(f"{place} refers to {str(schema['$ref'])[:100]!r}; only places in the schema itself are")
    elif "anyOf" in keys:
        _only(keys, {"anyOf"}, place)
        for i, part in enumerate(_listed(schema["anyOf"], place)):
            _check(part, f"{place}.anyOf[{i}]", depth + 1)
    elif "enum" in keys or "const" in keys:
        _check_values(schema, keys, place)
    else:
        _check_types(schema, keys, place, depth)


def _check_values(schema: Mapping[str, Any], keys: Any, place: str) -> None:
    name = "const" if "const" in keys else "enum"
    _only(keys, {name, "type"}, place)
    values = [schema["const"]] if name == "const" else _listed(schema["enum"], place)
    if len(values) > MOST_VALUES:
        raise DataError(f"{place}.enum has {len(values)} values; at most {MOST_VALUES} are taken")
    types = schema.get("type")
    for value in values:
        if types is not None and not any(_is_of(value, kind) for kind in _types(types, place)):
            raise DataError(f"{place}.{name} holds {str(value)[:50]!r}, which is not of the type {types}")


def _check_types(schema: Mapping[str, Any], keys: Any, place: str, depth: int) -> None:
    types = _types(schema.get("type"), place)
    if len(types) > 1:
        # llama.cpp takes a list of types as alternatives with all keywords of the schema; those of each are checked.
        _only(keys, {"type"}.union(*(BY_TYPE[kind] for kind in types)), place)
    else:
        _only(keys, {"type", *BY_TYPE[types[0]]}, place)
    if "object" in types:
        _check_object(schema, place, depth)
    if "array" in types:
        if "items" not in schema:
            raise DataError(f"{place} is an array without `items`")
        _check(schema["items"], f"{place}.items", depth + 1)


def _check_object(schema: Mapping[str, Any], place: str, depth: int) -> None:
    further = schema.get("additionalProperties")
    if further not in (None, False):
        raise DataError(f"{place}.additionalProperties must be false: other keys than the named ones aren't written")
    properties = schema.get("properties") or {}
    if not isinstance(properties, Mapping) or not properties:
        raise DataError(f"{place} is an object without `properties`")
    missing = set(schema.get("required") or ()) - properties.keys()
    if missing:
        raise DataError(f"{place}.required names {min(missing)!r}, which is no property")
    for name, part in properties.items():
        _check(part, f"{place}.{name}", depth + 1)


def _types(value: Any, place: str) -> list[str]:
    found = value if isinstance(value, list) else [value]
    if not found or any(kind not in BY_TYPE for kind in found):
        raise DataError(f"{place} has the type {str(value)[:50]!r}; expected {', '.join(BY_TYPE)}")
    return found


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or value is None:
        return kind == ("boolean" if isinstance(value, bool) else "null")
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    return kind in kinds and isinstance(value, kinds[kind])  # type: ignore[arg-type]


def _listed(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{place} has a list that is empty or none")
    return value


def _only(keys: Any, known: set[str], place: str) -> None:
    if strange := keys - known:
        raise DataError(
            f"{place} has the keyword {min(strange)!r}, which llama.cpp would pass over there, so an answer could "
            f"break it. Leave it out; known there are {', '.join(sorted(known))}."
        )
