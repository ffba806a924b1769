"""Losses on next-token distributions, one a file, and the head that they are fused with."""

from potstill.losses.tokens.base import TokenLoss, TokenTerm
from potstill.losses.tokens.cross_entropy import CrossEntropy
from potstill.losses.tokens.forward_kl import ForwardKL
from potstill.losses.tokens.head import HeadLoss, head_loss
from potstill.losses.tokens.jensen_shannon import JensenShannon
from potstill.losses.tokens.positions import answer_positions
from potstill.losses.tokens.reverse_kl import ReverseKL
from potstill.losses.tokens.skewed_kl import SkewedKL
from potstill.losses.tokens.target import HeadTarget, SparseTarget
from potstill.losses.tokens.universal_logit import UniversalLogit

KINDS: tuple[type, ...] = (CrossEntropy, ForwardKL, JensenShannon, ReverseKL, SkewedKL, UniversalLogit)

__all__ = [
    "KINDS",
    "CrossEntropy",
    "ForwardKL",
    "HeadLoss",
    "HeadTarget",
    "JensenShannon",
    "ReverseKL",
    "SkewedKL",
    "SparseTarget",
    "TokenLoss",
    "TokenTerm",
    "UniversalLogit",
    "answer_positions",
    "head_loss",
]
