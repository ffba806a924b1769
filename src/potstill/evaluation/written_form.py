"""What is wrong with an answer beside its being another one: its form, its fields, and that it is a refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# How models begin when they won't answer. An answer that is wanted and begins so counts as no refusal.
_REFUSAL = re.compile(
    r"^\W*(i'?m sorry|i am sorry|sorry, (but )?i|i (can(no|')t|am unable|'m unable|won't)|as an ai\b|unfortunately,? i "
    r"(can(no|')t|am)|죄송(합니다|하지만)|도와드릴 수 없)",
    re.IGNORECASE,
)
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class WrittenForm:
    """Shares over test rows.

    Attributes:
        refusals: answers that decline where an answer was wanted.
        format_errors: answers that are no JSON object where one was wanted; None where none was.
        field_accuracy: wanted fields that the answer has with the same value; None where no object was wanted.
        fields: name -> the same for that field alone.
    """

    refusals: float
    format_errors: float | None
    field_accuracy: float | None
    fields: Mapping[str, float]


def written_form(texts: Sequence[str], wanted: Sequence[str]) -> WrittenForm:
    """Looks at N answers beside the N wanted ones."""
    declined = [is_refusal(said) and not is_refusal(meant) for said, meant in zip(texts, wanted, strict=True)]
    pairs = [(object_of(said), meant) for said, text in zip(texts, wanted, strict=True) if (meant := object_of(text))]
    right: dict[str, list[bool]] = {}
    for said_object, meant in pairs:
        for name, value in meant.items():
            right.setdefault(name, []).append(_same((said_object or {}).get(name, _MISSING), value))
    flat = [is_right for listed in right.values() for is_right in listed]
    return WrittenForm(
        refusals=_share(declined) or 0.0,
        format_errors=_share([said_object is None for said_object, _ in pairs]),
        field_accuracy=_share(flat),
        fields={name: sum(listed) / len(listed) for name, listed in sorted(right.items())},
    )


def is_refusal(text: str) -> bool:
    """Whether an answer begins as models decline, in English or Korean. A guess from words, and no more."""
    return bool(_REFUSAL.match(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")))


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that the whole answer is, or None."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _same(said: Any, meant: Any) -> bool:
    """Equal as JSON: true is not 1, and space around a text makes no other one."""
    if isinstance(said, str) and isinstance(meant, str):
        return " ".join(said.split()) == " ".join(meant.split())
    return type(said) is type(meant) and bool(said == meant)


def _share(listed: Sequence[bool]) -> float | None:
    return sum(listed) / len(listed) if listed else None
