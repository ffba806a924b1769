"""A transformer encoder with a head: what an encoder teacher and an encoder student have in common."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.students.base import StudentOutput
from potstill.students.bert import Bert, mean_pool
from potstill.types import FloatArray, IntArray, LabelSchema

# Features have length 1, so this is the largest logit that a prototype can give.
SCALE = 20.0


class EncoderClassifier(nn.Module):
    """Mean-pooled, length-normalised features under a linear head.

    Shapes: B batch, T tokens, D width, C logits.
    """

    def __init__(self, encoder: Bert, num_logits: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.shape.width, num_logits)

    def forward(self, ids: Tensor) -> StudentOutput:
        """Ids B x T, 0 is padding."""
        hidden = self.encoder(ids)
        embedding_BD = F.normalize(mean_pool(hidden[-1], ids), dim=-1)
        return StudentOutput(self.head(embedding_BD), embedding_BD, hidden)


def prototype_head(features_ND: FloatArray, labels_NL: IntArray, schema: LabelSchema) -> tuple[FloatArray, FloatArray]:
    """Weights and biases that classify by the nearest class mean (Snell et al. 2017, arXiv 1703.05175).

    A head that starts there knows the task before the first step, which decides what few labels can teach. A field with
    several answers takes class means around the overall mean, and the log-odds of each class as its bias. A class
    without a row keeps zeros.

    Returns:
        C x D weights and C biases.
    """
    weights_CD = np.zeros((schema.num_logits, features_ND.shape[1]), np.float32)
    bias_C = np.zeros(schema.num_logits, np.float32)
    for field, logit, column in schema.parts():
        labels = labels_NL[:, column]
        for k in range(len(field.classes)):
            rows = labels[:, k] == 1 if field.multi else labels[:, 0] == k
            if rows.any():
                weights_CD[logit.start + k] = _unit(features_ND[rows].mean(0)) * SCALE
        if field.multi:
            weights_CD[logit] -= _unit(features_ND.mean(0)) * SCALE * (weights_CD[logit] != 0).any(1, keepdims=True)
            share = ((labels == 1).sum(0) + 0.5) / (np.maximum((labels >= 0).sum(0), 1) + 1.0)
            bias_C[logit] = np.log(share / (1 - share))
    return weights_CD, bias_C


def _unit(vector: FloatArray) -> FloatArray:
    scaled: FloatArray = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return scaled


def set_head(module: EncoderClassifier, weights_CD: FloatArray, bias_C: FloatArray) -> None:
    """Copies weights into the head."""
    with torch.no_grad():
        module.head.weight.copy_(torch.from_numpy(weights_CD))
        module.head.bias.copy_(torch.from_numpy(bias_C))
