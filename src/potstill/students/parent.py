"""A student that goes on from one that is deployed: its tokenizer, its weights, and the grid that they were rounded to.

A device that has the parent downloads what changed. So weights start where the parent's int8 weights stand, and what
training moved least is put back: every weight that stays is a byte that needn't be sent. How much goes back is decided
by how large the delta may be. A very light training is put back as a whole, which its accuracy shows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from potstill.errors import ConfigurationError
from potstill.runtime import load
from potstill.runtime.preprocess import TextTokens
from potstill.runtime.safe_zip import read_files
from potstill.types import FloatArray, LabelSchema

# Of the exported module's names.
PREFIX = "module."
# Steps of the grid that a weight must move to count, at least.
DEAD_ZONE = 1.5
LARGEST = 127
# Share of the weights' bytes that a delta may take.
DELTA_SHARE = 0.06
NUM_HALVINGS = 8


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A deployed student.

    Attributes:
        digest: of its bundle.
        schema: what its logits stand for.
        tokens: how it reads texts.
        weights: name in the module -> values, fp32.
        precision: of its bundle.
        steps: name -> step of the grid of every int8 weight, in the shape of the weights.
        delta_share: of the weights' bytes, that a delta to a child may take.
    """

    digest: str
    schema: LabelSchema
    tokens: TextTokens
    weights: Mapping[str, FloatArray]
    steps: Mapping[str, FloatArray]
    precision: str
    delta_share: float = DELTA_SHARE

    def give(self, module: nn.Module) -> None:
        """Sets the weights of a network of the same shape.

        Raises:
            ConfigurationError: it is another network.
        """
        state = module.state_dict()
        wrong = [
            name
            for name, tensor in state.items()
            if name not in self.weights or self.weights[name].shape != tensor.shape
        ]
        if wrong:
            shape = self.weights[wrong[0]].shape if wrong[0] in self.weights else "nothing of that name"
            raise ConfigurationError(
                f"the parent is another network: {wrong[0]} is {tuple(state[wrong[0]].shape)} here, and the parent has "
                f"{shape}. Name the student with the options that the parent was built with."
            )
        module.load_state_dict({name: torch.from_numpy(np.array(self.weights[name])) for name in state})

    def keep_grid(self, module: nn.Module) -> Kept:
        """Puts back what moved least, and the rest on the parent's grid, so that it is rounded with the same steps.

        The dead zone grows until the delta takes no more than its share.
        """
        state = module.state_dict()
        before = {name: np.rint(self.weights[name] / step) for name, step in self.steps.items()}
        after = {name: state[name].detach().cpu().numpy() / step for name, step in self.steps.items()}
        plain = b"".join(
            _bytes_between(self.weights[name], tensor.detach().cpu().numpy())
            for name, tensor in state.items()
            if name not in self.steps
        )

        def share(zone: float) -> float:
            moved = b"".join(
                _bytes_between(before[name].astype(np.int8), _on_grid(before[name], after[name], zone).astype(np.int8))
                for name in self.steps
            )
            return len(zlib.compress(moved + plain, 6)) / max(1, len(moved) + len(plain))

        zone = _smallest_zone(share, self.delta_share)
        with torch.no_grad():
            for name, step in self.steps.items():
                moved = _on_grid(before[name], after[name], zone)
                state[name].copy_(torch.from_numpy((moved * step).astype(np.float32)))
        return Kept(dead_zone=zone, share=share(zone))


@dataclass(frozen=True, kw_only=True)
class Kept:
    """How much of a training stays.

    Attributes:
        dead_zone: steps of the grid that a weight had to move to count.
        share: of the weights' bytes that a delta takes, as zlib finds it.
    """

    dead_zone: float
    share: float


def _on_grid(before: FloatArray, after: FloatArray, zone: float) -> FloatArray:
    moved = np.where(np.abs(after - before) > zone, np.rint(after), before)
    # The largest weight of a channel decides its step; where it stood it stays.
    found: FloatArray = np.where(np.abs(before) >= LARGEST, before, np.clip(moved, -LARGEST, LARGEST))
    return found


def _bytes_between(before: NDArray[Any], after: NDArray[Any]) -> bytes:
    """As a delta by subtraction holds them."""
    old, new = (np.ascontiguousarray(values).view(np.uint8).ravel() for values in (before, after))
    difference: bytes = (new - old).tobytes()
    return difference


def _smallest_zone(share: Callable[[float], float], limit: float) -> float:
    """The smallest dead zone whose share is within the limit, by halving; the share falls as the zone grows."""
    if share(DEAD_ZONE) <= limit:
        return DEAD_ZONE
    low, high = DEAD_ZONE, 2.0 * LARGEST
    for _ in range(NUM_HALVINGS):
        # Most weights move by few steps, so halves are taken of the ratio.
        middle = (low * high) ** 0.5
        low, high = (low, middle) if share(middle) <= limit else (middle, high)
    return high


def read_parent(path: Path, *, delta_share: float = DELTA_SHARE) -> Parent:
    """Reads a bundle, or the bundle of a run's folder.

    Args:
        path: of the bundle or run.
        delta_share: of the weights' bytes that a delta to a child may take.

    Raises:
        BundleError: it is damaged.
        ConfigurationError: its weights can't be learned from there.
    """
    folder = path / "bundle" if (path / "bundle" / "manifest.json").is_file() else path
    model = load(folder)
    files = read_files(folder)
    if model.modality != "text" or model.manifest.preprocess["kind"] != "text_tokens":
        raise ConfigurationError(
            f"{path} reads {model.modality} by {model.manifest.preprocess['kind']!r}; a parent is a student of texts "
            "on pieces (cnn or static). Others are distilled from the start."
        )
    weights, steps = _weights(files["model.onnx"])
    return Parent(
        digest=model.digest,
        schema=model.schema,
        tokens=TextTokens.from_entry(model.manifest.preprocess, files),
        weights=weights,
        steps=steps,
        precision=model.manifest.precision,
        delta_share=delta_share,
    )


def _weights(content: bytes) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Weights by the module's names, dequantised, and the steps of those that were int8."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    steps = {}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or not node.output[0].startswith(PREFIX) or len(node.input) != 2:
            continue
        values, scales = (tensors[name] for name in node.input)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        shape = [1] * values.ndim
        shape[axis] = -1
        name = node.output[0].removeprefix(PREFIX)
        steps[name] = np.broadcast_to(scales.reshape(shape), values.shape)
        weights[name] = values.astype(np.float32) * steps[name]
    return weights, steps
