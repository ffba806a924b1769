"""ONNX: one file for Python, Node, browsers, Android and iOS; the form of every bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, final

import onnx
from onnx import ModelProto, numpy_helper

from potstill.exporters.bundle import trace
from potstill.exporters.onnx import quantize
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Batch, Source
from potstill.exporters.target import Exported, Nodes, TensorGroup, input_entry
from potstill.runtime.model import open_session
from potstill.types import FloatArray

FILE = "model.onnx"
SMALL = 1024
CARRIES = ("DequantizeLinear", "QuantizeLinear", "Cast", "Transpose", "Identity")
GROUP_OF = {"Gather": "embeddings", "Conv": "convolutions"} | dict.fromkeys(
    ("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "QLinearConv"), "matrices"
)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Onnx:
    """The network as bundles hold it, batch and length dynamic."""

    kind: Literal["onnx"] = "onnx"
    precisions: tuple[Precision, ...] = ("fp32", "int8_weights", "int8")

    def export(self, source: Source, precision: Precision) -> Exported:
        """Runs through onnxruntime with the settings of a bundle."""
        value = source.calibration[0]
        content = quantize(fp32_of(source), precision, source.calibration)
        computes_int8 = precision == "int8" and all(array.ndim == 4 for array in value.values())
        session = open_session(content, 1, computes_int8=computes_int8)

        def run(batch: Batch) -> FloatArray:
            logits: FloatArray = session.run(None, batch)[0]
            return logits

        model = onnx.load_from_string(content)
        return Exported(
            file=FILE,
            files={FILE: content},
            run=run,
            runtime=f"onnxruntime {version('onnxruntime')}",
            groups=tensor_groups(model),
            nodes=Nodes(delegated=len(model.graph.node), undelegated=0),
            entry={"inputs": input_entry(source)},
        )


def fp32_of(source: Source) -> bytes:
    """The student's network in fp32, traced anew from its weights."""
    return trace(source.student, source.probes[0])


def tensor_groups(model: ModelProto) -> tuple[TensorGroup, ...]:
    """Bytes of the initializers by what uses them; scales and what goes through a cast count with it."""
    users: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    sizes: dict[tuple[str, str], int] = {}
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        group = _group(tensor.name, users) if values.nbytes >= SMALL else "other"
        key = (group, values.dtype.name)
        sizes[key] = sizes.get(key, 0) + values.nbytes
    return tuple(TensorGroup(name=n, dtype=d, size_bytes=s) for (n, d), s in sorted(sizes.items()))


def _group(name: str, users: Mapping[str, Sequence[Any]], depth: int = 0) -> str:
    for node in users.get(name, ()):
        if node.op_type in GROUP_OF:
            return GROUP_OF[node.op_type]
        if node.op_type in CARRIES and depth < 4:
            return _group(node.output[0], users, depth + 1)
    return "other"
