"""Broadcasted residual networks: for sounds, where time and frequency are looked at apart.

After Kim et al. 2021 (arXiv 2106.04140), with plain batch normalisation. Shapes: B batch, c channels, M bands, T
frames.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from potstill.students.base import Student, StudentContext, StudentOutput
from potstill.students.senses import build_seeing, check_sizes


class Broadcasted(nn.Module):
    """Looks along the bands, then along time on their mean, and gives that back to every band."""

    def __init__(self, channels: int, filters: int, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.widens = channels != filters
        if self.widens:
            self.across = nn.Conv2d(channels, filters, 1, bias=False)
            self.across_norm = nn.BatchNorm2d(filters)
        self.bands = nn.Conv2d(filters, filters, (3, 1), stride=(stride, 1), padding=(1, 0), groups=filters, bias=False)
        self.bands_norm = nn.BatchNorm2d(filters)
        self.time = nn.Conv2d(
            filters, filters, (1, 3), padding=(0, dilation), dilation=(1, dilation), groups=filters, bias=False
        )
        self.time_norm = nn.BatchNorm2d(filters)
        self.mix = nn.Conv2d(filters, filters, 1)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """B x c x M x T."""
        y = F.relu(self.across_norm(self.across(x))) if self.widens else x
        banded = self.bands_norm(self.bands(y))
        timed = F.silu(self.time_norm(self.time(banded.mean(2, keepdim=True))))
        timed = F.dropout2d(self.mix(timed), self.dropout, self.training)
        found = banded + timed
        return F.relu(found if self.widens else found + x)


class BroadcastedNet(nn.Module):
    """A stem that halves the bands, four stages whose sight along time doubles, the mean over both axes."""

    def __init__(self, channels: int, width: int, num_blocks: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 2 * width, 5, stride=(2, 1), padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(2 * width)
        blocks: list[nn.Module] = []
        before = 2 * width
        for stage, (share, stride) in enumerate(((1.0, 1), (1.5, 2), (2.0, 2), (2.5, 1))):
            filters = round(width * share)
            for i in range(num_blocks):
                blocks.append(Broadcasted(before, filters, stride if i == 0 else 1, 1 << stage, dropout))
                before = filters
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(before, num_logits)
        self.dropout = dropout

    def forward(self, pixels: Tensor) -> StudentOutput:
        """Pixels B x c x M x T."""
        embedding_BD = self.blocks(F.relu(self.stem_norm(self.stem(pixels)))).mean((2, 3))
        return StudentOutput(self.head(F.dropout(embedding_BD, self.dropout, self.training)), embedding_BD)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class BcResNet:
    """For sounds, in a few thousand parameters; slower to train than `ds_cnn` of the same size.

    Attributes:
        width: filters of the first stage.
        num_blocks: blocks a stage.
        size: side that pictures are brought to; 0 keeps small ones as they are and brings others to 64.
        num_mels: bands of a sound.
    """

    kind: Literal["bc_resnet"] = "bc_resnet"
    width: int = 16
    num_blocks: int = 2
    size: int = 0
    num_mels: int = 40

    def __post_init__(self) -> None:
        check_sizes(self.width, self.size, self.num_mels, self.num_blocks)

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Takes length and loudness from the transfer inputs."""
        num_logits = context.schema.num_logits

        def make(channels: int) -> nn.Module:
            return BroadcastedNet(channels, self.width, self.num_blocks, num_logits, dropout)

        return build_seeing(context, make, size=self.size, num_mels=self.num_mels)
