"""Kinds that other packages add through entry points."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import get_args, get_type_hints


def installed_kinds(group: str, built_in: Sequence[type]) -> dict[str, type]:
    """Kind -> class: ours, and those of the entry points of a group; ours can't be replaced.

    Args:
        group: `potstill.teachers` or `potstill.students`.
        built_in: our own classes.
    """
    found = {entry.name: entry for entry in entry_points(group=group)}
    kinds: dict[str, type] = {name: entry.load() for name, entry in found.items()}
    kinds.update({kind_of(made): made for made in built_in})
    return kinds


def kind_of(made: type) -> str:
    """The kind that a component's class declares as its `Literal`."""
    return str(get_args(get_type_hints(made)["kind"])[0])
