"""Residual networks for small pictures and for spectrograms."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.students.base import Student, StudentContext, StudentOutput
from potstill.students.senses import build_seeing, check_sizes


class Block(nn.Module):
    """Two normalised convolutions beside a shortcut that drops rows and columns and adds empty channels."""

    shortcut: Tensor

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, filters, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(filters)
        self.second = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(filters)
        self.stride = stride
        self.changes = stride > 1 or filters > channels
        # Says the same as a slice and a pad, but onnxruntime keeps its layout of channels around a convolution alone,
        # and adds the sum to it: a tenth of the time of a small net.
        self.register_buffer("shortcut", torch.eye(filters, channels)[:, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """B x channels x H x W."""
        y = F.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return F.relu(y + (F.conv2d(x, self.shortcut, stride=self.stride) if self.changes else x))


class ResidualNet(nn.Module):
    """Three stages of blocks, each with twice the filters and half the side of the one before, then the mean.

    After He et al. 2016 (arXiv 1512.03385), section 4.2. Shapes: B batch, c channels, H height, W width.
    """

    def __init__(self, channels: int, depth: int, width: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        before = width
        for stage in range(3):
            filters = width << stage
            for i in range((depth - 2) // 6):
                blocks.append(Block(before, filters, 2 if stage and i == 0 else 1))
                before = filters
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, num_logits)
        self.dropout = dropout

    def forward(self, pixels: Tensor) -> StudentOutput:
        """Pixels B x c x H x W."""
        x = self.blocks(F.relu(self.stem_norm(self.stem(pixels))))
        embedding_BD = x.mean((2, 3))
        return StudentOutput(self.head(F.dropout(embedding_BD, self.dropout, self.training)), embedding_BD)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ResNet:
    """For pictures, and for sounds as spectrograms.

    Attributes:
        depth: convolutions along the way, 6 n + 2: 8, 14, 20, ...
        width: filters of the first stage; the last has four times as many.
        size: side that pictures are brought to; 0 keeps small ones as they are and brings others to 64.
        num_mels: bands of a sound.
    """

    kind: Literal["resnet"] = "resnet"
    depth: int = 8
    width: int = 16
    size: int = 0
    num_mels: int = 40

    def __post_init__(self) -> None:
        if self.depth < 8 or self.depth % 6 != 2:
            raise ConfigurationError(f"depth is {self.depth}; three stages of blocks need 6 n + 2: 8, 14, 20, ...")
        check_sizes(self.width, self.size, self.num_mels)

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Takes size, brightness or loudness from the transfer inputs."""
        num_logits = context.schema.num_logits

        def make(channels: int) -> nn.Module:
            return ResidualNet(channels, self.depth, self.width, num_logits, dropout)

        return build_seeing(context, make, size=self.size, num_mels=self.num_mels)
