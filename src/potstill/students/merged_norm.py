"""A normalisation that export merged into the convolution before it, put back where a network has its own.

What is left of it is a bias: mean 0, variance 1 and scale 1. It stays so in training too, with statistics of nobody, so
that weights stay those of the deployed convolution, and the same graph comes out again.
"""

from __future__ import annotations

from typing import Self

from torch import nn

# What a normalisation is called beside its convolution.
SUFFIX = "_norm"


class MergedNorm(nn.BatchNorm2d):
    """Adds its bias. A batch normalisation by type and tensors, so whoever stores or exports it knows it."""

    def __init__(self, num_features: int, eps: float) -> None:
        super().__init__(num_features, eps)
        assert self.running_var is not None, "statistics are tracked unless one asks otherwise"
        self.running_var.fill_(1 - eps)
        self.weight.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Never counts statistics of a batch, whatever is asked."""
        return super().train(False)


def merge_norms(module: nn.Module) -> None:
    """Replaces the batch normalisations of a network by merged ones, in place."""
    for path, norm in list(module.named_modules()):
        if isinstance(norm, nn.BatchNorm2d) and not isinstance(norm, MergedNorm):
            owner, _, name = path.rpartition(".")
            setattr(module.get_submodule(owner), name, MergedNorm(norm.num_features, norm.eps))


def deployed_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of a network with merged normalisations, by their names in the deployed graph.

    The bias of a merged normalisation is there the bias of the convolution.
    """
    merged = {path for path, norm in module.named_modules() if isinstance(norm, MergedNorm)}
    found = {}
    for name, parameter in module.named_parameters():
        path, _, leaf = name.rpartition(".")
        if path not in merged:
            found[name] = parameter
        elif leaf == "bias":
            found[f"{path.removesuffix(SUFFIX)}.{leaf}"] = parameter
    return found
