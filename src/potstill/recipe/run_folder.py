"""The folder of a run: one process at a time, one recipe for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from potstill.errors import ConfigurationError
from potstill.files import canonical_json, locked, write_atomic

RECIPE = "recipe.json"


class Described(Protocol):
    """A recipe of any kind."""

    def to_json(self) -> dict[str, Any]:
        """Everything, defaults included, as JSON values."""
        ...


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """One process a run folder; the lock dies with it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(out / ".lock", wait=False))
        except BlockingIOError:
            raise ConfigurationError(
                f"another process works in {out}. Wait for it, or give another folder with --out."
            ) from None
        yield


def claim(out: Path, recipe: Described) -> None:
    """Writes the recipe into a new folder; refuses the folder of another one."""
    path = out / RECIPE
    wanted = canonical_json(recipe.to_json())
    if path.exists() and path.read_bytes() != wanted:
        raise ConfigurationError(
            f"{out} holds the run of another recipe. Results of two recipes in one folder would be mixed up. Give "
            "another folder with --out, or remove that one."
        )
    write_atomic(path, wanted)
