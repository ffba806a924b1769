"""A training of some weights alone, the others standing still (Ansell et al. 2022, arXiv 2110.07560)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from potstill.files import digest
from potstill.students.merged_norm import deployed_parameters

Moved = Mapping[str, NDArray[np.bool_]]


def train_alone(module: nn.Module, chosen: Moved) -> None:
    """Lets these weights learn and no others; what isn't named stands still too.

    Gradients of the others are 0, so momentum and Adam's moments of them stay 0. Weight decay would move them: the
    optimizer must have none.
    """
    for name, parameter in deployed_parameters(module).items():
        if not parameter.requires_grad:
            continue
        share = torch.from_numpy(chosen[name].astype(np.float32)) if name in chosen else torch.zeros_like(parameter)
        parameter.register_hook(partial(_only, share))  # type: ignore[no-untyped-call]


def _only(share: Tensor, gradient: Tensor) -> Tensor:
    return gradient * share.to(gradient)


def digest_of_moved(moved: Moved) -> str:
    """Tells one choice of weights from another."""
    return digest([[name, digest(np.packbits(chosen).tobytes())] for name, chosen in sorted(moved.items())])
