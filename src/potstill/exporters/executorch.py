"""ExecuTorch (.pte): PyTorch's own runtime for phones, on XNNPACK's kernels; int8 by PT2E."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, final

import numpy as np
import torch
from torch import Tensor, nn

from potstill.errors import MissingExtraError
from potstill.exporters.onnx import quiet
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Batch, Source
from potstill.exporters.target import Exported, LogitsOnly, Nodes, Run, TensorGroup, input_entry
from potstill.types import FloatArray

FILE = "model.pte"
# n-grams of a text have no largest number, but the plan of the memory needs one.
LONGEST = 4096


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ExecuTorch:
    """Lowered to XNNPACK; texts keep a dynamic length, one input at a time."""

    kind: Literal["executorch"] = "executorch"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    def export(self, source: Source, precision: Precision) -> Exported:
        """Whole numbers are int64, as torch has them.

        Raises:
            MissingExtraError: without the extra.
        """
        try:
            with quiet():
                from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
                from executorch.exir import to_edge_transform_and_lower
        except ImportError as error:
            raise MissingExtraError("executorch", "executorch") from error
        example = _example(source)
        shapes = _shapes(source)
        module = LogitsOnly(source.student.module, tuple(source.calibration[0])).eval()
        with quiet(), torch.no_grad():
            program = torch.export.export(module, example, dynamic_shapes=shapes)
            if precision == "int8":
                rounded = _rounded(program.module(), source.calibration, is_static=not source.has_length)
                program = torch.export.export(rounded, example, dynamic_shapes=shapes and shapes["arrays"])
            lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            nodes, groups = _nodes(lowered.exported_program()), _groups(lowered.exported_program())
            content = bytes(lowered.to_executorch().buffer)
            run = _runner(content, source)
        entry = {"inputs": [{**item, "dtype": _dtype(item["dtype"])} for item in input_entry(source)]}
        return Exported(
            file=FILE,
            files={FILE: content},
            run=run,
            runtime=f"executorch {version('executorch')}",
            groups=groups,
            nodes=nodes,
            entry=entry,
        )


def _dtype(name: str) -> str:
    return "int64" if name.startswith("int") else name


def _tensors(batch: Batch) -> tuple[Tensor, ...]:
    found = [torch.from_numpy(np.ascontiguousarray(array)) for array in batch.values()]
    return tuple(tensor if tensor.is_floating_point() else tensor.long() for tensor in found)


def _example(source: Source) -> tuple[Tensor, ...]:
    """An axis of one would be taken for a constant by the tracer."""
    longest = max(source.calibration, key=lambda batch: next(iter(batch.values())).shape[1])
    return _tensors(longest)


def _shapes(source: Source) -> Any:
    if not source.has_length:
        return None
    length = torch.export.Dim("length", min=2, max=source.max_length or LONGEST)
    return {"arrays": tuple({1: length} for _ in source.calibration[0])}


def _rounded(module: nn.Module, calibration: Sequence[Batch], *, is_static: bool) -> nn.Module:
    """Convolutions get ranges that real inputs have measured, matrix products ranges found at run time."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    config = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=not is_static)
    prepared = prepare_pt2e(module, XNNPACKQuantizer().set_global(config))
    for batch in calibration:
        prepared(*_tensors(_at_least_two(batch)))
    converted: nn.Module = convert_pt2e(prepared)
    return converted


def _at_least_two(batch: Batch) -> Batch:
    """The lengths that were traced begin at two; what is added is padding."""
    if any(array.ndim != 2 or array.shape[1] > 1 for array in batch.values()):
        return batch
    return {name: np.concatenate([array, np.zeros_like(array)], axis=1) for name, array in batch.items()}


def _nodes(program: Any) -> Nodes:
    from executorch.devtools.backend_debug import get_delegation_info

    info = get_delegation_info(program.graph_module)
    left = [name for name, count in info.delegation_by_operator.items() if count.non_delegated]
    return Nodes(
        delegated=info.num_delegated_nodes,
        undelegated=info.num_non_delegated_nodes,
        partitions=info.num_delegated_subgraphs,
        names=tuple(sorted(left)),
    )


def _groups(program: Any) -> tuple[TensorGroup, ...]:
    """What XNNPACK took is one group; lookups stay outside of it, as they are."""
    sizes: dict[tuple[str, str], int] = {}
    for _, module in program.graph_module.named_modules():
        if hasattr(module, "processed_bytes"):
            key = ("delegated", "packed")
            sizes[key] = sizes.get(key, 0) + len(module.processed_bytes)
    lookups = {
        argument.name
        for node in program.graph.nodes
        if "embedding" in str(node.target)
        for argument in node.args
        if hasattr(argument, "name")
    }
    signature = program.graph_signature
    stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    for name, target in stored.items():
        tensor = program.state_dict.get(target)
        if tensor is None:
            continue
        key = ("embeddings" if name in lookups else "other", str(tensor.dtype).removeprefix("torch."))
        sizes[key] = sizes.get(key, 0) + tensor.numel() * tensor.element_size()
    return tuple(TensorGroup(name=n, dtype=d, size_bytes=s) for (n, d), s in sorted(sizes.items()))


def _runner(content: bytes, source: Source) -> Run:
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(1)
    program = portable_lib._load_for_executorch_from_buffer(content)

    def run(batch: Batch) -> FloatArray:
        logits: FloatArray = program.forward(_tensors(_at_least_two(batch)))[0].numpy()
        return logits

    run(source.calibration[0])
    return run
