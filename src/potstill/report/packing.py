"""What the teacher passed on, as JSON values with arrays beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from potstill.report.content import PassedOn, SoftLabel


class Packed(NamedTuple):
    """JSON values, and the arrays that they name."""

    values: dict[str, Any]
    arrays: dict[str, Any]


def pack(passed: PassedOn) -> Packed:
    """Takes pictures and sounds out into arrays."""
    arrays: dict[str, Any] = {}

    def one(found: SoftLabel) -> dict[str, Any]:
        value: Any = found.value
        if not isinstance(value, str):
            name = f"passed_on|{len(arrays)}"
            arrays[name] = value
            value = {"array": name}
        return {"value": value, "label": found.label, "said": [list(pair) for pair in found.said]}

    values = {
        "likenesses": [[name, [list(pair) for pair in others]] for name, others in passed.likenesses],
        "examples": [one(found) for found in passed.examples],
        "views": [[one(found) for found in views] for views in passed.views],
    }
    return Packed(values, arrays)


def unpack(values: Mapping[str, Any] | None, arrays: Mapping[str, Any]) -> PassedOn:
    """Reads what `pack` wrote; reports of earlier versions have none."""
    if values is None:
        return PassedOn()

    def one(found: Mapping[str, Any]) -> SoftLabel:
        value = found["value"]
        return SoftLabel(
            value=value if isinstance(value, str) else arrays[value["array"]],
            label=found["label"],
            said=[(name, share) for name, share in found["said"]],
        )

    return PassedOn(
        likenesses=[(name, [(other, share) for other, share in others]) for name, others in values["likenesses"]],
        examples=[one(found) for found in values["examples"]],
        views=[[one(found) for found in views] for views in values["views"]],
    )
