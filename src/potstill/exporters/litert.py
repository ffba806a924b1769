"""LiteRT (.tflite): for Android, iOS and microcontrollers; int8 weights with activations rounded at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, final

import numpy as np
import torch

from potstill.errors import ConfigurationError, MissingExtraError
from potstill.exporters.onnx import quiet
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Batch, Source
from potstill.exporters.target import Exported, LogitsOnly, Nodes, Run, TensorGroup, input_entry
from potstill.types import FloatArray

FILE = "model.tflite"
# The converter takes no dynamic length, so a model holds one signature for each of these.
LENGTHS = (16, 32, 64, 128, 256, 512)
GROUP_OF = {
    "EMBEDDING_LOOKUP": "embeddings",
    "GATHER": "embeddings",
    "GATHER_ND": "embeddings",
    "CONV_2D": "convolutions",
    "DEPTHWISE_CONV_2D": "convolutions",
    "CONV_3D": "convolutions",
    "FULLY_CONNECTED": "matrices",
    "BATCH_MATMUL": "matrices",
}


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LiteRT:
    """Converts through litert-torch and rounds with ai-edge-quantizer (`dynamic_wi8_afp32`), embeddings included."""

    kind: Literal["litert"] = "litert"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    def export(self, source: Source, precision: Precision) -> Exported:
        """One signature a length for texts, `serving_default` for pictures and sounds; whole numbers are int32.

        Raises:
            MissingExtraError: without the extra.
            ConfigurationError: arrays whose length nothing bounds.
        """
        lengths = _lengths(source)
        content = _converted(source, lengths)
        if precision == "int8":
            content = _rounded(content)
        groups = tensor_groups(content)
        run, nodes = _runner(content, lengths, source)
        names = {length: _name(length) for length in lengths} or {0: "serving_default"}
        entry = {"inputs": input_entry(source), "lengths": list(lengths), "signatures": list(names.values())}
        return Exported(
            file=FILE,
            files={FILE: content},
            run=run,
            runtime=f"ai-edge-litert {version('ai-edge-litert')}",
            groups=groups,
            nodes=nodes,
            entry=entry,
        )


def _lengths(source: Source) -> tuple[int, ...]:
    if not source.has_length:
        return ()
    longest = source.max_length
    if longest is None:
        raise ConfigurationError(
            "litert needs to know how long an input can get, and the n-grams of a text have no largest number. "
            "Export this student with --target onnx or openvino, or distil one of kind cnn, static or encoder."
        )
    return (*(length for length in LENGTHS if length < longest), longest)


def _name(length: int) -> str:
    return f"length_{length}"


def _converted(source: Source, lengths: tuple[int, ...]) -> bytes:
    try:
        with quiet():
            import litert_torch
    except ImportError as error:
        raise MissingExtraError("litert-torch", "litert") from error
    example = source.calibration[0]
    module = LogitsOnly(source.student.module, tuple(example)).eval()
    converter: Any = None
    with quiet():
        for length in lengths or (0,):
            # int64 would become int32 on the way without a word.
            arrays = tuple(torch.from_numpy(_padded(array, length)) for array in example.values())
            first = converter if converter is not None else litert_torch
            converter = first.signature(_name(length) if length else "serving_default", module, arrays)
        model = converter.convert()
    return bytes(model.model_content())


def _rounded(content: bytes) -> bytes:
    try:
        with quiet():
            from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise MissingExtraError("ai-edge-quantizer", "litert") from error
    with quiet():
        made = quantizer.Quantizer(content, recipe.dynamic_wi8_afp32())
        return bytes(made.quantize(enable_progress_report=False).quantized_model)


def _runner(content: bytes, lengths: tuple[int, ...], source: Source) -> tuple[Run, Nodes]:
    from ai_edge_litert.interpreter import Interpreter

    names = tuple(source.calibration[0])
    interpreter = Interpreter(model_content=content, num_threads=1)
    signatures: Mapping[str, Callable[..., Any]] = {
        name: interpreter.get_signature_runner(name) for name in interpreter.get_signature_list()
    }

    def run(batch: Batch) -> FloatArray:
        length = 0
        if lengths:
            wanted = batch[names[0]].shape[1]
            length = next(length for length in lengths if length >= wanted)
        values = {f"args_{i}": _padded(batch[name], length) for i, name in enumerate(names)}
        found = signatures[_name(length) if length else "serving_default"](**values)
        logits: FloatArray = next(iter(found.values()))
        return logits

    with quiet():
        run(source.calibration[0])
    # It lists the operations as they were, and one more for each piece that XNNPACK took; not which went into it.
    return run, Nodes(partitions=[op["op_name"] for op in interpreter._get_ops_details()].count("DELEGATE"))


def _padded(array: Any, length: int) -> Any:
    if array.ndim != 2 or not length:
        return np.ascontiguousarray(array)
    full = np.zeros((array.shape[0], length), array.dtype)
    full[:, : array.shape[1]] = array[:, :length]
    return full


def operations(content: bytes) -> list[str]:
    """Kinds of the operations of a model, for runtimes that are told which they need."""
    try:
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flat
    except ImportError as error:
        raise MissingExtraError("ai-edge-quantizer", "litert") from error
    model = flat.read_model(content)
    names = {c.builtinCode: flat.TFL_OP_CODE_TO_NAME.get(c.builtinCode, c.builtinCode) for c in model.operatorCodes}
    return sorted(str(name).rsplit(".", 1)[-1] for name in names.values())


def tensor_groups(content: bytes) -> tuple[TensorGroup, ...]:
    """Bytes of the constants by what uses them; a constant that signatures share counts once."""
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flat

    model = flat.read_model(content)
    users: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for graph in model.subgraphs:
        for op in graph.operators or ():
            code = model.operatorCodes[op.opcodeIndex].builtinCode
            name = str(flat.TFL_OP_CODE_TO_NAME.get(code, ""))
            for index in op.inputs:
                if index < 0:
                    continue
                tensor = graph.tensors[index]
                group = GROUP_OF.get(name.rsplit(".", 1)[-1], "other")
                kinds[tensor.buffer] = flat.TENSOR_CODE_TO_TYPE[tensor.type].lower()
                if users.get(tensor.buffer, "other") == "other":
                    users[tensor.buffer] = group
    sizes: dict[tuple[str, str], int] = {}
    for buffer, group in users.items():
        data = model.buffers[buffer].data
        size = 0 if data is None else len(data)
        if not size:
            continue
        key = (group if size >= 1024 else "other", kinds[buffer])
        sizes[key] = sizes.get(key, 0) + size
    return tuple(TensorGroup(name=n, dtype=d, size_bytes=s) for (n, d), s in sorted(sizes.items()))
