"""Kinds that other packages add through entry points."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import get_args, get_type_hints

from potstill.errors import ConfigurationError


def installed_kinds(group: str, built_in: Sequence[type]) -> dict[str, type]:
    """Kind -> class: ours, and those of the entry points of a group; ours can't be replaced.

    Args:
        group: `potstill.teachers` or `potstill.students`.
        built_in: our own classes.
    """
    found = {entry.name: entry for entry in entry_points(group=group)}
    kinds = {name: _loaded(entry, group) for name, entry in found.items()}
    kinds.update({kind_of(made): made for made in built_in})
    return kinds


def _loaded(entry: EntryPoint, group: str) -> type:
    try:
        made: type = entry.load()
    except Exception as error:  # a third party's package may fail in any way
        raise ConfigurationError(
            f"the installed package {entry.dist.name if entry.dist else '?'} offers {entry.name!r} for {group}, "
            f"and fails when it is loaded: {type(error).__name__}: {error}. Upgrade or uninstall that package."
        ) from error
    return made


def kind_of(made: type) -> str:
    """The kind that a component's class declares as its `Literal`."""
    return str(get_args(get_type_hints(made)["kind"])[0])
