"""Losses, one a file; each says what signal it needs."""

from potstill.losses.base import Loss, SignalName
from potstill.losses.cross_entropy import CrossEntropy
from potstill.losses.dist import Dist
from potstill.losses.embedding import EmbeddingCosine, EmbeddingRelational
from potstill.losses.forward_kl import ForwardKL
from potstill.losses.hard_label import HardLabel
from potstill.losses.hidden_mse import HiddenMSE

__all__ = [
    "CrossEntropy",
    "Dist",
    "EmbeddingCosine",
    "EmbeddingRelational",
    "ForwardKL",
    "HardLabel",
    "HiddenMSE",
    "Loss",
    "SignalName",
]
