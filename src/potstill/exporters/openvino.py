"""OpenVINO IR (.xml and .bin): for Intel processors, graphics and NPUs; int8 by NNCF."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, final

from potstill.errors import MissingExtraError
from potstill.exporters.onnx import quiet
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Batch, Source
from potstill.exporters.target import Exported, TensorGroup, input_entry
from potstill.types import FloatArray

FILE, WEIGHTS = "model.xml", "model.bin"
GROUP_OF = {"Gather": "embeddings"} | dict.fromkeys(("Convolution", "GroupConvolution"), "convolutions")
CARRIES = ("Convert", "Multiply", "Subtract", "Reshape", "FakeQuantize", "Transpose")
SMALL = 1024


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class OpenVINO:
    """Converted from ONNX; batch and length dynamic."""

    kind: Literal["openvino"] = "openvino"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    def export(self, source: Source, precision: Precision) -> Exported:
        """Runs in fp32 arithmetic even where the processor has bf16, so that two machines say the same.

        Raises:
            MissingExtraError: without the extra.
        """
        try:
            with quiet():
                import nncf
                import openvino
        except ImportError as error:
            raise MissingExtraError(str(error.name), "openvino") from error
        with tempfile.TemporaryDirectory() as folder, quiet():
            path = Path(folder) / "model.onnx"
            path.write_bytes(source.fp32_model)
            model: Any = openvino.convert_model(path)
            if precision == "int8":
                is_text = source.has_length
                model = nncf.quantize(
                    model,
                    nncf.Dataset(list(source.calibration)),
                    model_type=nncf.ModelType.TRANSFORMER if is_text else None,
                    preset=nncf.QuantizationPreset.MIXED,
                    subset_size=len(source.calibration),
                )
            openvino.save_model(model, Path(folder) / FILE, compress_to_fp16=False)
            files = {name: (Path(folder) / name).read_bytes() for name in (FILE, WEIGHTS)}
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        request = compiled.create_infer_request()

        def run(batch: Batch) -> FloatArray:
            logits: FloatArray = request.infer(batch, share_inputs=True)[0]
            return logits.copy()

        return Exported(
            file=FILE,
            files=files,
            run=run,
            runtime=f"openvino {version('openvino')}",
            groups=_groups(model),
            entry={"inputs": input_entry(source), "weights": WEIGHTS},
        )


def _groups(model: Any) -> tuple[TensorGroup, ...]:
    sizes: dict[tuple[str, str], int] = {}
    for op in model.get_ops():
        if op.get_type_name() != "Constant":
            continue
        size = op.get_byte_size()
        key = (_group(op, 0) if size >= SMALL else "other", str(op.get_element_type().to_dtype().name))
        sizes[key] = sizes.get(key, 0) + size
    return tuple(TensorGroup(name=n, dtype=d, size_bytes=s) for (n, d), s in sorted(sizes.items()))


def _group(op: Any, depth: int) -> str:
    for target in op.output(0).get_target_inputs():
        user = target.get_node()
        name = user.get_type_name()
        if name in GROUP_OF:
            return GROUP_OF[str(name)]
        if name == "MatMul":
            return "matrices"
        if name in CARRIES and depth < 4:
            return _group(user, depth + 1)
    return "other"
