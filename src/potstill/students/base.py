"""What a student is, and what a builder gets to build it from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from potstill.runtime.preprocess import Preprocessor
from potstill.types import FloatArray, Input, LabelSchema

if TYPE_CHECKING:
    from potstill.students.parent import Parent
    from potstill.students.wordpiece import PretrainedEncoder


Ranges = Mapping[str, tuple[NDArray[Any], NDArray[Any]]]


class StudentOutput(NamedTuple):
    """What a student's module returns.

    Attributes:
        logits: B x C.
        embedding: B x D, the pooled features under the head.
        hidden: one B x T x D tensor a layer; empty where a student has no layers to compare.
    """

    logits: Tensor
    embedding: Tensor
    hidden: tuple[Tensor, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudentContext:
    """What a builder may use.

    Attributes:
        schema: the labels of the service.
        transfer_inputs: the inputs that the student will learn from; they decide its vocabulary.
        encoder: the pretrained encoder that the run knows, before any training on the labels: the start that student
            and control share. None for data without one.
        seed: of the initial weights.
        sample_rate: of the inputs where they are sounds, in Hz.
        parent: a deployed student that this one goes on from; None starts anew.
    """

    schema: LabelSchema
    transfer_inputs: Sequence[Input]
    encoder: PretrainedEncoder | None
    seed: int
    sample_rate: int = 16_000
    parent: Parent | None = None


@dataclass(frozen=True, kw_only=True)
class Student:
    """A network with the preprocessing that belongs to it.

    Attributes:
        module: takes the arrays of `preprocessor.batch` as keyword tensors and returns a `StudentOutput`.
        preprocessor: shared with the device.
        schema: what the logits stand for.
        ranges: name of an activation in the exported graph -> scale and zero point that it is rounded with where int8
            is computed; a child takes its parent's. What isn't named is measured.
    """

    module: nn.Module
    preprocessor: Preprocessor
    schema: LabelSchema
    ranges: Ranges = field(default_factory=dict)

    @property
    def num_parameters(self) -> int:
        """Parameters of the network."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def logits(self, inputs: Sequence[Input], *, batch_size: int = 256) -> FloatArray:
        """Returns float32 logits, N x C."""
        return encoded_logits(self, self.preprocessor.encode(inputs), batch_size=batch_size)


class StudentBuilder(Protocol):
    """A frozen dataclass that is a student's configuration and can build it."""

    @property
    def kind(self) -> str:
        """Its name in a recipe."""
        ...

    def config(self) -> dict[str, Any]:
        """What tells this builder from another, as JSON values; the hash of a stage covers it."""
        ...

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Builds an untrained student; the same context and seed give the same weights.

        Raises:
            ConfigurationError: the options don't fit the context.
        """
        ...


def as_tensors(batch: dict[str, Any], device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """A preprocessor's arrays as tensors; whole numbers as int64, which torch's lookups want."""
    tensors = {}
    for name, array in batch.items():
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device)
        tensors[name] = tensor if tensor.is_floating_point() else tensor.long()
    return tensors


@torch.no_grad()
def encoded_logits(student: Student, encoded: Sequence[Any], *, batch_size: int = 256) -> FloatArray:
    """Logits of inputs that were encoded before, N x C; rows of like length run together."""
    module = student.module
    was_training = module.training
    module.eval()
    lengths = np.array([student.preprocessor.length(item) for item in encoded], np.int64)
    logits_NC = np.zeros((len(encoded), student.schema.num_logits), np.float32)
    order = np.argsort(lengths, kind="stable")
    device = next(module.parameters()).device
    for start in range(0, len(order), batch_size):
        positions = order[start : start + batch_size]
        batch = student.preprocessor.batch([encoded[i] for i in positions])
        logits_NC[positions] = module(**as_tensors(batch, device)).logits.float().cpu().numpy()
    module.train(was_training)
    return logits_NC
