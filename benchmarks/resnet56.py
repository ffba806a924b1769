"""A teacher that somebody else trained: ResNet-56 for CIFAR-10, as a factory for `--teacher FILE.py:FACTORY`.

The weights are Yerlan Idelbayev's (BSD-2), trained on the original pictures. Those of `cifar10-jpeg` went through JPEG,
and it loses ten points there; `python -m benchmarks.pictures adapt` fine-tunes it for a minute and keeps the result.
"""

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.tables import DATA

ADAPTED = Path(os.environ.get("POTSTILL_RESNET56", Path(__file__).parents[1] / "build" / "resnet56.pt"))
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Block(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.added = stride, filters - channels

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.added:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))
        return F.relu(x + y)


class ResNet56(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stages = []
        for before, filters in ((16, 16), (16, 32), (32, 64)):
            first = Block(before, filters, 1 if before == filters else 2)
            stages.append(nn.Sequential(first, *(Block(filters, filters, 1) for _ in range(8))))
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, 10)

    def forward(self, pixels):
        x = F.relu(self.bn1(self.conv1(pixels)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def published():
    """As it was given out."""
    (path,) = (DATA / "cifar10-jpeg" / "pretrained").glob("*resnet56*")
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    net = ResNet56()
    net.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return net


def adapted():
    """Fine-tuned on pictures that went through JPEG."""
    net = ResNet56()
    net.load_state_dict(torch.load(ADAPTED, map_location="cpu", weights_only=True))
    return net
