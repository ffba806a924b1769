"""A teacher that was trained here: a network with its preprocessing, asked in batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from potstill.files import digest
from potstill.students.base import Student, as_tensors
from potstill.types import Answers, FloatArray, Input, LabelSchema

BATCH_SIZE = 128


@dataclass(frozen=True, kw_only=True)
class TrainedTeacher:
    """Answers with the logits of a network.

    Attributes:
        student: the network with its preprocessing; a teacher is only a larger one.
        precision: `fp32` or `bf16`; part of its identity, since it moves the logits a little.
        device: where it runs.
    """

    student: Student
    precision: str
    device: str

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
        state = {name: tensor.cpu().contiguous() for name, tensor in self.student.module.state_dict().items()}
        return {
            "kind": "trained",
            "weights": digest(save_tensors(state)),
            "preprocessing": digest(self.student.preprocessor.to_json()),
            "precision": self.precision,
            "schema": self.schema.to_json(),
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
        encoded = self.student.preprocessor.encode(inputs)
        order = np.argsort([self.student.preprocessor.length(item) for item in encoded], kind="stable")
        module = self.student.module.to(self.device).eval()
        parts = []
        with torch.no_grad():
            for start in range(0, len(order), BATCH_SIZE):
                batch = self.student.preprocessor.batch([encoded[i] for i in order[start : start + BATCH_SIZE]])
                parts.append(module(**as_tensors(batch, self.device)).embedding.float().cpu().numpy())
        sorted_ND = np.concatenate(parts)
        embedding_ND: FloatArray = np.empty_like(sorted_ND)
        embedding_ND[order] = sorted_ND
        return embedding_ND
