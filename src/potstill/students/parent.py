"""A student that goes on from one that is deployed: its tokenizer, its weights, and the grid that they were rounded to.

A device that has the parent downloads what changed. So weights start where the parent's int8 weights stand, and what
training moved by less than a step or so of that grid is put back: it is within what rounding does anyway, and every
weight that stays is a byte that needn't be sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from potstill.errors import ConfigurationError
from potstill.runtime import load
from potstill.runtime.preprocess import TextTokens
from potstill.runtime.safe_zip import read_files
from potstill.types import FloatArray, LabelSchema

# Of the exported module's names.
PREFIX = "module."
# Steps of the grid that a weight must move to count.
DEAD_ZONE = 1.5
LARGEST = 127


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
    """

    digest: str
    schema: LabelSchema
    tokens: TextTokens
    weights: Mapping[str, FloatArray]
    steps: Mapping[str, FloatArray]
    precision: str

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

    def keep_grid(self, module: nn.Module) -> None:
        """Puts back what hardly moved, and the rest on the parent's grid, so that it is rounded with the same steps."""
        state = module.state_dict()
        for name, step in self.steps.items():
            before = np.rint(self.weights[name] / step)
            after = state[name].detach().cpu().numpy() / step
            moved = np.where(np.abs(after - before) > DEAD_ZONE, np.rint(after), before)
            # The largest weight of a channel decides its step; where it stood it stays.
            moved = np.where(np.abs(before) >= LARGEST, before, np.clip(moved, -LARGEST, LARGEST))
            with torch.no_grad():
                state[name].copy_(torch.from_numpy((moved * step).astype(np.float32)))


def read_parent(path: Path) -> Parent:
    """Reads a bundle, or the bundle of a run's folder.

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
