"""Convolutional networks in int8 with ranges that real inputs have measured."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx

from potstill.students.base import Ranges


def has_pictures(calibration: Sequence[dict[str, Any]]) -> bool:
    """Whether the inputs are pictures or spectrograms (four axes), so that the network is one of convolutions."""
    return bool(calibration) and all(array.ndim == 4 for array in calibration[0].values())


def static_int8(model_bytes: bytes, calibration: Sequence[dict[str, Any]], ranges: Ranges) -> bytes:
    """Weights and activations in int8 (QDQ), weights with a scale a channel.

    The first convolution and the head stay in fp32: they hold few of the weights, and rounding what comes in or goes
    out costs most. Ranges found at run time, as for transformers, made convolutions eight times slower.

    Args:
        model_bytes: the network in fp32.
        calibration: batches of the transfer set; the largest and smallest activations on them become the ranges.
        ranges: name of an activation -> scale and zero point that are taken in their place. Biases are stored in steps
            of these, so ranges that move a little move every bias.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)
        try:
            source, prepared, target = (Path(folder) / f"{name}.onnx" for name in ("fp32", "prepared", "int8"))
            source.write_bytes(model_bytes)
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            network = onnx.load(prepared)
            quantize_static(
                prepared,
                target,
                _Rows(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_outer_layers(network),
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"TensorQuantOverrides": _overrides(network, ranges)},
            )
            model = onnx.load(target)
        finally:
            logging.getLogger().setLevel(level)
    del model.metadata_props[:]
    # onnxruntime declares all it knows; a device refuses what isn't ONNX's own.
    used = {node.domain for node in model.graph.node}
    for opset in [opset for opset in model.opset_import if opset.domain and opset.domain not in used]:
        model.opset_import.remove(opset)
    return bytes(model.SerializeToString(deterministic=True))


def _overrides(model: onnx.ModelProto, ranges: Ranges) -> dict[str, list[dict[str, Any]]]:
    """As onnxruntime takes them; it refuses names that this network doesn't have."""
    known = {name for node in model.graph.node for name in node.output}
    return {name: [{"scale": scale, "zero_point": zero}] for name, (scale, zero) in ranges.items() if name in known}


class _Rows:
    """What onnxruntime reads ranges from."""

    def __init__(self, batches: Sequence[dict[str, Any]]) -> None:
        self._left: Iterator[dict[str, Any]] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, None after the last."""
        return next(self._left, None)


def _outer_layers(model: onnx.ModelProto) -> list[str]:
    weighted = [node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return [weighted[0], weighted[-1]] if weighted else []
