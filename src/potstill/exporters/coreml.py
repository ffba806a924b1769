"""Core ML (.mlpackage): for Apple's devices. Converts on Linux; predicting needs macOS, so nothing is run here."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray

from potstill.errors import MissingExtraError
from potstill.exporters.onnx import quiet
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Source
from potstill.exporters.target import Exported, LogitsOnly, Nodes, TensorGroup, input_entry

FOLDER = "model.mlpackage"
LONGEST = 512


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CoreML:
    """Through torch.export into an ML program; a range of lengths for texts."""

    kind: Literal["coreml"] = "coreml"
    precisions: tuple[Precision, ...] = ("fp32", "int8_weights")

    def export(self, source: Source, precision: Precision) -> Exported:
        """int8 weights are rounded a channel and computed with in fp16.

        Raises:
            MissingExtraError: without the extra.
        """
        # It complains at import, through its own handler, of versions that nobody asked for.
        logging.getLogger("coremltools").setLevel(logging.ERROR)
        try:
            with quiet():
                import coremltools
        except ImportError as error:
            raise MissingExtraError("coremltools", "coreml") from error
        with quiet(), tempfile.TemporaryDirectory() as folder:
            model = _converted(source, coremltools, precision)
            path = Path(folder) / FOLDER
            model.save(str(path))
            files = {f"{FOLDER}/{p.relative_to(path)}": p.read_bytes() for p in path.rglob("*") if p.is_file()}
        weights = sum(len(content) for name, content in files.items() if name.endswith("weight.bin"))
        dtype = {"fp32": "float32", "int8_weights": "int8 and float16"}[precision]
        return Exported(
            file=FOLDER,
            files=files,
            run=None,
            runtime=f"coremltools {version('coremltools')}: converted, not run here (Core ML predicts on macOS alone)",
            groups=(TensorGroup(name="all", dtype=dtype, size_bytes=weights),),
            nodes=Nodes(),
            entry={"inputs": input_entry(source)},
            notes=("not run here: compare the probes of manifest.json on a Mac before you ship",),
        )


def _converted(source: Source, coremltools: Any, precision: Precision) -> Any:
    names = tuple(source.calibration[0])
    module = LogitsOnly(source.student.module, names).eval()
    longest = max(source.calibration, key=lambda batch: next(iter(batch.values())).shape[1])
    bound = source.max_length or LONGEST
    shapes: Any = None
    if source.has_length:
        length = torch.export.Dim("length", min=2, max=bound)
        shapes = {"arrays": tuple({1: length} for _ in names)}
    example = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in longest.values())
    with torch.no_grad():
        program = torch.export.export(module, example, dynamic_shapes=shapes).run_decompositions({})
    model = coremltools.convert(
        program,
        inputs=[_input(coremltools, name, array, bound) for name, array in longest.items()],
        outputs=[coremltools.TensorType(name="logits")],
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS17,
        compute_precision=coremltools.precision.FLOAT32 if precision == "fp32" else coremltools.precision.FLOAT16,
        skip_model_load=True,
    )
    if precision == "fp32":
        return model
    optimize = coremltools.optimize.coreml
    config = optimize.OptimizationConfig(
        global_config=optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=1024)
    )
    return optimize.linear_quantize_weights(model, config=config)


def _input(coremltools: Any, name: str, array: NDArray[Any], bound: int) -> Any:
    shape: tuple[Any, ...] = array.shape
    if array.ndim == 2:
        shape = (1, coremltools.RangeDim(lower_bound=2, upper_bound=bound, default=min(16, bound)))
    dtype = np.int32 if array.dtype.kind == "i" else np.float32
    return coremltools.TensorType(name=name, shape=shape, dtype=dtype)
