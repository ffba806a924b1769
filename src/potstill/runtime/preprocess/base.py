"""What preprocessing is: inputs in, the arrays of a model out; the same code in training and on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from potstill.types import Input


class Preprocessor(Protocol):
    """A frozen dataclass that turns inputs into a model's arrays."""

    @property
    def kind(self) -> str:
        """Its name in a manifest."""
        ...

    def encode(self, inputs: Sequence[Input]) -> list[Any]:
        """Encodes each input for itself; the results can be batched in any company.

        Raises:
            DataError: an input of a type that it doesn't take.
        """
        ...

    def length(self, encoded: Any) -> int:
        """Length of one encoded input, by which batches are sorted."""
        ...

    def batch(self, encoded: Sequence[Any]) -> dict[str, NDArray[Any]]:
        """The arrays of a batch by the model's input names, padded to its longest."""
        ...

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values: two with the same JSON do the same."""
        ...

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes large parts as files into a folder and returns the manifest's entry."""
        ...


Entry = Mapping[str, Any]
