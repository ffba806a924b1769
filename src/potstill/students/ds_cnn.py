"""Depthwise-separable convolutions: the net for microcontrollers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from potstill.students.base import Student, StudentContext, StudentOutput
from potstill.students.senses import build_seeing, check_sizes


class Separable(nn.Module):
    """A convolution inside each channel, then one across channels, each normalised."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.inside = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)
        self.inside_norm = nn.BatchNorm2d(channels)
        self.across = nn.Conv2d(channels, filters, 1, bias=False)
        self.across_norm = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        """B x channels x H x W."""
        x = F.relu(self.inside_norm(self.inside(x)))
        return F.relu(self.across_norm(self.across(x)))


class SeparableNet(nn.Module):
    """A stem that halves both sides, separable blocks, the mean (Zhang et al. 2017, arXiv 1711.07128).

    Shapes: B batch, c channels, H height, W width.
    """

    def __init__(self, channels: int, width: int, num_blocks: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        # One block on the way halves once more: the rest then costs a quarter.
        self.blocks = nn.Sequential(*[Separable(width, width, 2 if i == 1 else 1) for i in range(num_blocks)])
        self.head = nn.Linear(width, num_logits)
        self.dropout = dropout

    def forward(self, pixels: Tensor) -> StudentOutput:
        """Pixels B x c x H x W."""
        x = self.blocks(F.relu(self.stem_norm(self.stem(pixels))))
        embedding_BD = x.mean((2, 3))
        return StudentOutput(self.head(F.dropout(embedding_BD, self.dropout, self.training)), embedding_BD)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DsCnn:
    """For sounds and pictures in some ten thousand parameters.

    Attributes:
        width: filters of every layer.
        num_blocks: separable blocks.
        size: side that pictures are brought to; 0 keeps small ones as they are and brings others to 64.
        num_mels: bands of a sound.
    """

    kind: Literal["ds_cnn"] = "ds_cnn"
    width: int = 48
    num_blocks: int = 4
    size: int = 0
    num_mels: int = 40

    def __post_init__(self) -> None:
        check_sizes(self.width, self.size, self.num_mels, self.num_blocks)

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Takes size, brightness or loudness from the transfer inputs."""
        num_logits = context.schema.num_logits

        def make(channels: int) -> nn.Module:
            return SeparableNet(channels, self.width, self.num_blocks, num_logits, dropout)

        return build_seeing(context, make, size=self.size, num_mels=self.num_mels)
