"""A small convolutional student for small pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.students.base import Student, StudentContext, StudentOutput
from potstill.students.senses import sense


class SmallPictureNet(nn.Module):
    """Two convolutions, a maximum over 2 x 2, one hidden layer, head.

    Shapes: B batch, H height, W width, F filters, D hidden units.
    """

    def __init__(self, shape: tuple[int, int, int], filters: int, hidden: int, num_logits: int, dropout: float) -> None:
        super().__init__()
        channels, height, width = shape
        self.first = nn.Conv2d(channels, filters, 3, padding=1)
        self.second = nn.Conv2d(filters, 2 * filters, 3, padding=1)
        self.hidden = nn.Linear(2 * filters * (height // 2) * (width // 2), hidden)
        self.head = nn.Linear(hidden, num_logits)
        self.dropout = dropout

    def forward(self, pixels: Tensor) -> StudentOutput:
        """Pixels B x channels x H x W."""
        x_BFHW = F.relu(self.second(F.relu(self.first(pixels))))
        flat_BX = F.dropout(F.max_pool2d(x_BFHW, 2, stride=2).flatten(1), self.dropout, self.training)
        embedding_BD = F.relu(self.hidden(flat_BX))
        return StudentOutput(self.head(F.dropout(embedding_BD, self.dropout, self.training)), embedding_BD)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PixelCnn:
    """For pictures of one size, up to some 64 pixels a side.

    Attributes:
        filters: of the first convolution; the second has twice as many.
        hidden: units under the head.
    """

    kind: Literal["pixel_cnn"] = "pixel_cnn"
    filters: int = 16
    hidden: int = 64

    def config(self) -> dict[str, Any]:
        """All options."""
        return asdict(self)

    def build(self, context: StudentContext, *, dropout: float) -> Student:
        """Takes size, brightness and contrast from the transfer inputs."""
        if isinstance(context.transfer_inputs[0], str):
            raise ConfigurationError("student.kind is pixel_cnn, and the inputs are texts. Use `student.kind: cnn`.")
        preprocessor, shape = sense(context)
        torch.manual_seed(context.seed)
        module = SmallPictureNet(shape, self.filters, self.hidden, context.schema.num_logits, dropout)
        return Student(module=module, preprocessor=preprocessor, schema=context.schema)
