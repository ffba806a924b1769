"""What a target is: a student in, files for another runtime out, with a way to run them here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from potstill.exporters.in_graph import TextModel
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Batch, Source
from potstill.types import FloatArray

Run = Callable[[Batch], FloatArray]
"""The arrays of one input, as the preprocessing gives them, to logits 1 x C."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorGroup:
    """Bytes of the weights of one kind.

    Attributes:
        name: `embeddings`, `convolutions`, `matrices` or `other` (biases, norms, scales).
        dtype: what they are stored as.
        size_bytes: of all of them.
    """

    name: str
    dtype: str
    size_bytes: int

    @property
    def is_fp32_embedding(self) -> bool:
        """Most of a small text student is its embeddings, and several quantisers leave them as they are."""
        return self.name == "embeddings" and self.dtype == "float32"

    def to_json(self) -> dict[str, Any]:
        """JSON values, with the flag."""
        return {**asdict(self), "flagged": self.is_fp32_embedding}


@dataclass(frozen=True, kw_only=True, slots=True)
class Nodes:
    """Who runs the operations; None where the runtime doesn't tell.

    Attributes:
        delegated: operations that the accelerated backend took over.
        undelegated: operations left to plain kernels.
        partitions: pieces that the backend took.
        names: kinds of the operations that were left.
    """

    delegated: int | None = None
    undelegated: int | None = None
    partitions: int | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A student for one runtime.

    Attributes:
        file: name of the model among the files; of a folder for formats that are one.
        files: path -> bytes.
        run: the model through its own runtime; None where that doesn't run on this machine.
        runtime: name and version of what runs it.
        groups: bytes of the weights.
        nodes: what was delegated.
        entry: what an app has to know: inputs, lengths, signatures.
        notes: what else a person should know.
        text: the tokenizer inside, for models that read strings.
    """

    file: str
    files: Mapping[str, bytes]
    run: Run | None
    runtime: str
    groups: tuple[TensorGroup, ...] = ()
    nodes: Nodes = field(default_factory=Nodes)
    entry: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    text: TextModel | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the model, of all its files where it has several."""
        return sum(map(len, self.files.values()))


class Target(Protocol):
    """A frozen dataclass that is the options of an export and can do it."""

    @property
    def kind(self) -> str:
        """Its name on the command line, and that of its extra."""
        ...

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What it can write; the last is taken where nobody asks."""
        ...

    def export(self, source: Source, precision: Precision) -> Exported:
        """Converts a student.

        Raises:
            MissingExtraError: its packages are not installed.
            ConfigurationError: a student that this runtime can't run.
        """
        ...


class LogitsOnly(nn.Module):
    """A student's module that returns its logits alone; arrays come in the order of the preprocessor's batch."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *arrays: Tensor) -> Tensor:
        """Returns B x C."""
        logits: Tensor = self.module(**dict(zip(self.names, arrays, strict=True))).logits
        return logits


def input_entry(source: Source) -> list[dict[str, Any]]:
    """Name, type and axes of each array, for the manifest; -1 is an axis that follows the input."""
    return [
        {
            "name": name,
            "dtype": array.dtype.name,
            "shape": [1, -1] if array.ndim == 2 else list(array.shape),
        }
        for name, array in source.calibration[0].items()
    ]
