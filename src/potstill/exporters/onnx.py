"""A student's network as ONNX: fp32, int8 weights with fp32 compute, or int8 compute."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from potstill.exporters.precisions import Precision
from potstill.exporters.static_int8 import has_pictures, static_int8
from potstill.exporters.target import LogitsOnly
from potstill.runtime.manifest import EMBEDDING
from potstill.students.base import Ranges, Student, StudentOutput, as_tensors
from potstill.types import Input

OPSET = 20
MAX_BATCH = 4096
# Smaller tensors (biases, norms) stay fp32: they weigh nothing and feel rounding most.
SMALLEST_QUANTIZED = 1024
NARROW = 32


def to_onnx(student: Student, example: Input, *, max_length: int) -> bytes:
    """The network in fp32, batch and length dynamic; inputs are named as in the preprocessor's batch.

    The first output is `logits`; a student with embeddings (see `has_embedding`) has them as a second one, `EMBEDDING`.

    Args:
        student: a trained student.
        example: any input that it takes, to trace the network with.
        max_length: longest second axis that inputs can have.
    """
    encoded = student.preprocessor.encode([example])
    batch = student.preprocessor.batch([encoded[0], encoded[0]])
    names = tuple(batch)
    module, outputs = (_Both, ["logits", EMBEDDING]) if has_embedding(student) else (LogitsOnly, ["logits"])
    wrapped = module(student.module, names).eval().cpu()
    batch_axis = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    length_axis = torch.export.Dim("length", min=1, max=max(2, max_length))
    shapes = tuple({0: batch_axis, 1: length_axis} if a.ndim == 2 else {0: batch_axis} for a in batch.values())
    arrays = tuple(_longer(tensor, max_length) for tensor in as_tensors(batch).values())
    with quiet():
        program: Any = torch.onnx.export(
            wrapped,
            arrays,
            input_names=list(names),
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={"arrays": shapes},
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns a program"
    model: ModelProto = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:
        # Traces of the exporter: source paths of this machine have no place on a device.
        del node.metadata_props[:]
        node.doc_string = ""
    _narrow_inputs(model)
    return bytes(model.SerializeToString(deterministic=True))


def has_embedding(student: Student) -> bool:
    """Whether what lies under the head says something of its own: of texts on pieces, and not of n-grams."""
    return student.preprocessor.kind == "text_tokens"


class _Both(nn.Module):
    """Logits and embedding; beside `LogitsOnly`, since other runtimes get the logits alone."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *arrays: Tensor) -> tuple[Tensor, Tensor]:
        """Returns B x C and B x D."""
        found: StudentOutput = self.module(**dict(zip(self.names, arrays, strict=True)))
        return found.logits, found.embedding


def _longer(tensor: Tensor, max_length: int) -> Tensor:
    """At least two columns: an axis of one is taken for a constant by the tracer."""
    if tensor.ndim == 2 and tensor.shape[1] == 1 and max_length > 1:
        return torch.cat([tensor, tensor], dim=1)
    return tensor


def _narrow_inputs(model: ModelProto) -> None:
    """Takes whole-number inputs as int32, as the preprocessing gives them, and widens them inside."""
    for graph_input in model.graph.input:
        if graph_input.type.tensor_type.elem_type != TensorProto.INT64:
            continue
        graph_input.type.tensor_type.elem_type = TensorProto.INT32
        inner = f"{graph_input.name}_int64"
        for node in model.graph.node:
            for i, name in enumerate(node.input):
                if name == graph_input.name:
                    node.input[i] = inner
        model.graph.node.insert(0, helper.make_node("Cast", [graph_input.name], [inner], to=TensorProto.INT64))


def quantize(
    model_bytes: bytes,
    precision: Precision,
    calibration: Sequence[dict[str, Any]] = (),
    *,
    ranges: Ranges | None = None,
) -> bytes:
    """The same network in another precision.

    `int8_weights` stores large tensors as int8 with a scale a row or column and computes in fp32, so it is small and as
    fast as fp32. `int8` computes in int8: a network of two-dimensional convolutions with ranges measured beforehand
    (see `potstill.exporters.static_int8`), others their matrix products alone with ranges found at run time, which
    suits transformers and made a small convolutional net for text slower.

    Args:
        model_bytes: the network in fp32.
        precision: wanted.
        calibration: batches of real inputs, for ranges that are measured beforehand.
        ranges: of activations that are known already.
    """
    if precision == "fp32":
        return model_bytes
    if precision == "int8" and has_pictures(calibration):
        return static_int8(model_bytes, calibration, ranges or {})
    model = onnx.load_from_string(model_bytes)
    if precision == "int8":
        model = onnx.load_from_string(_dynamic_int8(model_bytes))
    _store_int8(model)
    return bytes(model.SerializeToString(deterministic=True))


def _dynamic_int8(model_bytes: bytes) -> bytes:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model_bytes)
        quantize_dynamic(
            source, target, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8, per_channel=True
        )
        return target.read_bytes()


def _store_int8(model: ModelProto) -> None:
    """Replaces every large fp32 initializer by int8 values, scales, and a DequantizeLinear that rebuilds it."""
    graph = model.graph
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALLEST_QUANTIZED or values.ndim < 2:
            continue
        axis = _channel_axis(model, tensor.name, values.shape)
        other = tuple(i for i in range(values.ndim) if i != axis)
        scales = np.maximum(np.abs(values).max(axis=other), 1e-12).astype(np.float32) / 127
        shape = [1] * values.ndim
        shape[axis] = -1
        rounded = np.clip(np.rint(values / scales.reshape(shape)), -127, 127).astype(np.int8)
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(rounded, f"{tensor.name}_int8"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{tensor.name}_scale"))
        names = [f"{tensor.name}_int8", f"{tensor.name}_scale"]
        graph.node.insert(0, helper.make_node("DequantizeLinear", names, [tensor.name], axis=axis))


def _channel_axis(model: ModelProto, name: str, shape: tuple[int, ...]) -> int:
    """The axis whose slices get a scale each: the output channel, or the row of a lookup table."""
    user = next((node for node in model.graph.node if name in node.input), None)
    if user is None:
        return 0
    if user.op_type == "Gemm":
        transposed = any(attribute.name == "transB" and attribute.i for attribute in user.attribute)
        return 0 if transposed else 1
    # In a narrow lookup table a scale a row would weigh more than the row.
    is_narrow = user.op_type == "Gather" and shape[1] < NARROW
    return 1 if user.op_type == "MatMul" or is_narrow else 0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Exporters talk of what a user can't change; warnings of ours still reach the tests through other calls.

    Some of them write past Python, so the process's own streams are turned away too.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    root = logging.getLogger()
    root_level = root.level
    root.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            _streams_away(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        root.setLevel(root_level)


@contextlib.contextmanager
def _streams_away() -> Iterator[None]:
    """File descriptors 1 and 2 lead nowhere; what was said before comes out first."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        yield
    finally:
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
            os.close(old)
        os.close(nowhere)
