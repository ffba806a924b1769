"""A teacher that was trained here: a network with its preprocessing, asked in batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from potstill.files import digest
from potstill.students.base import Student, StudentOutput, as_tensors
from potstill.students.bert import mean_pool
from potstill.students.classifier import EncoderClassifier, prototype_head, set_head
from potstill.types import Answers, FloatArray, Input, IntArray, LabelSchema

BATCH_SIZE = 128


@dataclass(frozen=True, kw_only=True)
class TrainedTeacher:
    """Answers with the logits of a network.

    Attributes:
        student: the network with its preprocessing; a teacher is only a larger one.
        precision: `fp32` or `bf16`; part of its identity, since it moves the logits a little.
        device: where it runs.
        source: SHA-256 of the user's code that makes the network; empty for a network of ours.
    """

    student: Student
    precision: str
    device: str
    source: str = ""

    @property
    def schema(self) -> LabelSchema:
        """The classes it was trained on."""
        return self.student.schema

    @property
    def num_parameters(self) -> int:
        """Parameters of the network."""
        return self.student.num_parameters

    def identity(self) -> dict[str, Any]:
        """Weights, preprocessing, labels and precision."""
        return {
            "kind": "trained",
            "weights": weights_digest(self.student.module),
            "preprocessing": digest(self.student.preprocessor.to_json()),
            "precision": self.precision,
            "schema": self.schema.to_json(),
            **({"source": self.source} if self.source else {}),
        }

    def answer(self, inputs: Sequence[Input]) -> Iterator[Answers]:
        """Answers in batches, shortest inputs first."""
        preprocessor = self.student.preprocessor
        encoded = preprocessor.encode(inputs)
        order = np.argsort([preprocessor.length(item) for item in encoded], kind="stable")
        self.student.module.to(self.device).eval()
        for start in range(0, len(order), BATCH_SIZE):
            positions = order[start : start + BATCH_SIZE]
            batch = preprocessor.batch([encoded[i] for i in positions])
            yield Answers(positions=positions, logits=self._logits(batch), refused={})

    @torch.no_grad()
    def _logits(self, batch: dict[str, Any]) -> FloatArray:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
            output = self.student.module(**as_tensors(batch, self.device))
        logits: FloatArray = output.logits.float().cpu().numpy()
        return logits

    def embedding(self, inputs: Sequence[Input]) -> FloatArray:
        """Pooled features under the head, float32, N x D."""
        return self._features(inputs, lambda output, ids: output.embedding)

    def hidden(self, inputs: Sequence[Input], layers: Sequence[int]) -> FloatArray:
        """Pooled hidden states after these layers, counted from 0, side by side: float32, N x H."""
        return self._features(
            inputs,
            lambda output, ids: torch.cat([mean_pool(output.hidden[layer + 1], ids) for layer in layers], dim=1),
        )

    @torch.no_grad()
    def _features(self, inputs: Sequence[Input], take: Callable[[StudentOutput, Tensor], Tensor]) -> FloatArray:
        encoded = self.student.preprocessor.encode(inputs)
        order = np.argsort([self.student.preprocessor.length(item) for item in encoded], kind="stable")
        module = self.student.module.to(self.device).eval()
        parts = []
        for start in range(0, len(order), BATCH_SIZE):
            batch = self.student.preprocessor.batch([encoded[i] for i in order[start : start + BATCH_SIZE]])
            tensors = as_tensors(batch, self.device)
            parts.append(take(module(**tensors), next(iter(tensors.values()))).float().cpu().numpy())
        sorted_ND = np.concatenate(parts)
        features_ND: FloatArray = np.empty_like(sorted_ND)
        features_ND[order] = sorted_ND
        return features_ND


def start_head(student: Student, inputs: Sequence[Input], labels: IntArray, device: str) -> None:
    """Lets the head of an encoder begin at the class means of the rows that have a label; other networks keep theirs.

    Args:
        student: freshly built; changed in place.
        inputs: N inputs.
        labels: N x L.
        device: where the features are computed.
    """
    labelled = np.flatnonzero((labels >= 0).any(1))
    if not isinstance(student.module, EncoderClassifier) or len(labelled) == 0:
        return
    taken = [inputs[i] for i in labelled.tolist()]
    features_ND = TrainedTeacher(student=student, precision="fp32", device=device).embedding(taken)
    set_head(student.module, *prototype_head(features_ND, labels[labelled], student.schema))


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of all weights and buffers with their names."""
    return digest(save_tensors({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}))
