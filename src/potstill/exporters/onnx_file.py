"""ONNX: one file for Python, Node, browsers, Android and iOS; the form of every bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, final

import onnx
from onnx import ModelProto, numpy_helper

from potstill.errors import ConfigurationError
from potstill.exporters import in_graph
from potstill.exporters.onnx import quantize
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Batch, Source
from potstill.exporters.target import Exported, TensorGroup, input_entry
from potstill.runtime.model import open_session
from potstill.runtime.preprocess import TextTokens
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
    """The network as bundles hold it, batch and length dynamic.

    Attributes:
        tokenizer: `beside` the model as a file, or `in-graph`, so that the model reads strings, one at a time.
    """

    kind: Literal["onnx"] = "onnx"
    precisions: tuple[Precision, ...] = ("fp32", "int8_weights", "int8")
    tokenizer: Literal["beside", "in-graph"] = "beside"

    def export(self, source: Source, precision: Precision) -> Exported:
        """Runs through onnxruntime with the settings of a bundle."""
        value = source.calibration[0]
        content = quantize(source.fp32_model, precision, source.calibration)
        computes_int8 = precision == "int8" and all(array.ndim == 4 for array in value.values())
        session = open_session(content, 1, computes_int8=computes_int8)

        def run(batch: Batch) -> FloatArray:
            logits: FloatArray = session.run(None, batch)[0]
            return logits

        model = onnx.load_from_string(content)
        text = self._text(source, content) if self.tokenizer == "in-graph" else None
        file = in_graph.FILE if text else FILE
        return Exported(
            file=file,
            files={file: text.content if text else content},
            text=text,
            run=run,
            runtime=f"onnxruntime {version('onnxruntime')}",
            groups=tensor_groups(model),
            entry={"inputs": [{"name": "text", "dtype": "string", "shape": [1]}] if text else input_entry(source)},
        )

    def _text(self, source: Source, content: bytes) -> in_graph.TextModel:
        tokens = source.student.preprocessor
        if not isinstance(tokens, TextTokens):
            raise ConfigurationError("only students that read texts as pieces have a tokenizer. Leave --tokenizer out.")
        return in_graph.with_tokenizer(content, tokens.tokenizer_json, tokens.max_length)


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
