"""The weights of a deployed network under the names of the module that it was traced from.

What export did to them is undone: int8 values are multiplied out, and a matrix that was turned for a product is turned
back. A normalisation stays merged into its convolution, whose bias it became (`potstill.students.merged_norm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from potstill.students.base import Ranges
from potstill.students.summing import INNER
from potstill.types import FloatArray

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

# Of the exported module's names.
PREFIX = "module."
# What onnxruntime appends to the name of a weight that it rounds.
ROUNDED = ("_DequantizeLinear_Output", "_quantized")


@dataclass(frozen=True, kw_only=True)
class DeployedWeights:
    """What a graph holds.

    Attributes:
        is_summing: whether its network has more classes than it answers with, see `potstill.students.summing`.
        values: name in the module -> weights, fp32.
        steps: name -> step of the grid of every int8 weight, in the shape of the weights.
        ranges: name of an activation -> scale and zero point that it is rounded with before int8 is computed.
    """

    is_summing: bool
    values: Mapping[str, FloatArray]
    steps: Mapping[str, FloatArray]
    ranges: Ranges


@dataclass(frozen=True)
class _Constant:
    """A weight of the graph, and its steps where it is int8."""

    values: FloatArray
    steps: FloatArray | None = None

    def turned(self) -> _Constant:
        return _Constant(self.values.T, None if self.steps is None else self.steps.T)


def read_weights(content: bytes) -> DeployedWeights:
    """Reads an exported network, ONNX, in any precision."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(content).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants = _constants(graph, tensors)
    found: dict[str, _Constant] = {}
    for node in graph.node:
        found |= _named(node, graph, constants)
    is_summing = any(name.startswith(PREFIX + INNER) for name in found)
    found = {name.removeprefix(PREFIX).removeprefix(INNER): constant for name, constant in found.items()}
    return DeployedWeights(
        is_summing=is_summing,
        values={name: np.array(constant.values, order="C") for name, constant in found.items()},
        steps={name: constant.steps for name, constant in found.items() if constant.steps is not None},
        ranges={
            node.input[0]: (tensors[node.input[1]], tensors[node.input[2]])
            for node in graph.node
            if node.op_type == "QuantizeLinear" and set(node.input[1:]) <= set(tensors)
        },
    )


def _constants(graph: GraphProto, tensors: Mapping[str, NDArray[Any]]) -> dict[str, _Constant]:
    """Every fp32 value that doesn't depend on the input, by the name of its edge."""
    found = {name: _Constant(value) for name, value in tensors.items() if value.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and set(node.input) <= set(tensors):
            values, scales, *zeros = (tensors[name] for name in node.input)
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
            found[node.output[0]] = _multiplied_out(values, scales, zeros[0] if zeros else None, axis)
        elif node.op_type == "MatMulInteger" and node.input[1] in tensors:
            values, zeros_N = tensors[node.input[1]], tensors[node.input[3]]
            scales = tensors[f"{node.input[1].removesuffix('_quantized')}_scale"]
            found[node.input[1]] = _multiplied_out(values, scales, zeros_N, 1)
    return found


def _multiplied_out(values: NDArray[Any], scales: FloatArray, zeros: NDArray[Any] | None, axis: int) -> _Constant:
    shape = [1] * values.ndim
    if values.ndim:
        shape[axis] = -1
    steps = np.broadcast_to(scales.reshape(shape), values.shape)
    whole = values.astype(np.float32) if zeros is None else values.astype(np.float32) - zeros.reshape(shape)
    # int32 is the form of a bias: so fine that it has no grid to speak of.
    return _Constant((whole * steps).astype(np.float32), steps if values.dtype == np.int8 else None)


def _named(node: NodeProto, graph: GraphProto, constants: Mapping[str, _Constant]) -> dict[str, _Constant]:
    """The weights that a node uses, by their names in the wrapped module."""
    found = {name: constants[name] for name in node.input if name in constants and _is_name(name)}
    weight = node.input[1] if len(node.input) > 1 else ""
    if weight not in constants:
        return found
    if node.op_type in ("Conv", "Gemm"):
        name = _plain(weight)
        found[name] = constants[weight]
        if len(node.input) > 2:
            found[f"{name.removesuffix('.weight')}.bias"] = constants[node.input[2]]
    elif node.op_type in ("MatMul", "MatMulInteger") and (bias := _bias_after(node, graph, constants)):
        # A matrix loses its name where it is turned; its bias keeps it.
        found[f"{bias.removesuffix('.bias')}.weight"] = constants[weight].turned()
    return found


def _is_name(name: str) -> bool:
    return name.startswith(PREFIX) and name.endswith((".weight", ".bias"))


def _plain(name: str) -> str:
    for end in ROUNDED:
        name = name.removesuffix(end)
    return name


def _bias_after(node: NodeProto, graph: GraphProto, constants: Mapping[str, _Constant]) -> str | None:
    """The bias that is added to a product, behind the casts and factors of int8."""
    edge = node.output[0]
    while True:
        user = next((user for user in graph.node if edge in user.input), None)
        if user is None or user.op_type not in ("Cast", "Mul", "Add"):
            return None
        if user.op_type == "Add":
            return next((name for name in user.input if name in constants and _is_name(name)), None)
        edge = user.output[0]
