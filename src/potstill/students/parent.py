"""A student that goes on from one that is deployed: how it reads, its weights, and the grid that they were rounded to.

A device that has the parent downloads what changed. So weights start where the parent's stand, and what training moved
least is put back: every weight that stays is a byte that needn't be sent. How much goes back is decided by how large
the delta may be. A very light training is put back as a whole, which its accuracy shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from potstill.errors import ConfigurationError
from potstill.runtime import load
from potstill.runtime.preprocess import Preprocessor
from potstill.runtime.safe_zip import read_files
from potstill.students.base import Ranges
from potstill.students.deltas import DELTA_SHARE, Kept, keep_most_moved
from potstill.students.deployed_weights import read_weights
from potstill.students.merged_norm import MergedNorm, deployed_parameters, merge_norms
from potstill.students.sparse import Moved
from potstill.types import FloatArray, LabelSchema

# Of the delta's share: as many weights as that are trained a second time (docs/log.md).
SPARSE_SHARE = 0.7

Reads = TypeVar("Reads")


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A deployed student.

    Attributes:
        digest: of its bundle.
        schema: what its logits stand for.
        preprocessor: how it reads inputs; a child reads them so too.
        weights: name in the module -> values, fp32; normalisations are merged into their convolutions.
        steps: name -> step of the grid of every int8 weight, in the shape of the weights.
        ranges: name of an activation -> scale and zero point, where it computes in int8.
        precision: of its bundle.
        is_summing: whether its network has more classes than it answers with, see `potstill.students.summing`.
        delta_share: of the weights' bytes, that a delta to a child may take.
    """

    digest: str
    schema: LabelSchema
    preprocessor: Preprocessor
    weights: Mapping[str, FloatArray]
    steps: Mapping[str, FloatArray]
    ranges: Ranges
    precision: str
    is_summing: bool = False
    delta_share: float = DELTA_SHARE

    def reading(self, kind: type[Reads]) -> Reads:
        """How it reads inputs, for a student that reads them in that way.

        Raises:
            ConfigurationError: the parent reads otherwise, so it is another kind of student.
        """
        if not isinstance(self.preprocessor, kind):
            raise ConfigurationError(
                f"the parent reads inputs by {self.preprocessor.kind!r}, and this student reads them otherwise. Name "
                "the student with the kind and options that the parent was built with."
            )
        return self.preprocessor

    def give(self, module: nn.Module) -> None:
        """Sets the weights of a network of the same shape; its batch normalisations become merged ones.

        Raises:
            ConfigurationError: it is another network.
        """
        merge_norms(module)
        needed = {**deployed_parameters(module), **_other_state(module)}
        for name, tensor in needed.items():
            found = self.weights[name].shape if name in self.weights else "nothing of that name"
            if found != tuple(tensor.shape):
                raise ConfigurationError(
                    f"the parent is another network: {name} is {tuple(tensor.shape)} here, and the parent has {found}. "
                    "Name the student with the options that the parent was built with. cnn, static, encoder, linear, "
                    "resnet, ds_cnn, bc_resnet and pixel_cnn can go on from a parent; others are distilled anew."
                )
        with torch.no_grad():
            for name, tensor in needed.items():
                tensor.copy_(torch.from_numpy(self.weights[name]))

    def keep_grid(self, module: nn.Module) -> Kept:
        """Puts back what moved least, and the rest on the parent's grid, so that it is rounded with the same steps."""
        kept = self._kept(module, self.delta_share)
        parameters = deployed_parameters(module)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(kept.values[name]))
        return kept

    def most_moved(self, module: nn.Module) -> Moved:
        """Which weights of a trained network are worth a second training of their own, name -> mask.

        Fewer than a delta could carry: trained alone they spread further over the grid, and such a delta takes more.
        """
        return self._kept(module, SPARSE_SHARE * self.delta_share).moved

    def _kept(self, module: nn.Module, share: float) -> Kept:
        after = {name: parameter.detach().cpu().numpy() for name, parameter in deployed_parameters(module).items()}
        return keep_most_moved(self.weights, after, self.steps, delta_share=share)


def _other_state(module: nn.Module) -> dict[str, Tensor]:
    """What a network keeps beside parameters and merged normalisations; no deployed graph has it by name."""
    merged = {path for path, norm in module.named_modules() if isinstance(norm, MergedNorm)}
    names = dict(module.named_parameters())
    state = module.state_dict()
    return {name: state[name] for name in state if name not in names and name.rpartition(".")[0] not in merged}


def read_parent(path: Path, *, delta_share: float = DELTA_SHARE) -> Parent:
    """Reads a bundle, or the bundle of a run's folder.

    Args:
        path: of the bundle or run.
        delta_share: of the weights' bytes that a delta to a child may take.

    Raises:
        BundleError: it is damaged.
    """
    folder = path / "bundle" if (path / "bundle" / "manifest.json").is_file() else path
    model = load(folder)
    found = read_weights(read_files(folder)["model.onnx"])
    return Parent(
        digest=model.digest,
        schema=model.schema,
        preprocessor=model.preprocessor,
        weights=found.values,
        steps=found.steps,
        ranges=found.ranges,
        is_summing=found.is_summing,
        precision=model.manifest.precision,
        delta_share=delta_share,
    )
