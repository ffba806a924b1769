"""A trained student as a bundle, checked against itself through the runtime before anyone gets it."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from potstill.errors import IntegrityError
from potstill.exporters.onnx import has_embedding, quantize, to_onnx
from potstill.exporters.precisions import Precision
from potstill.runtime import Model, load
from potstill.runtime.bundle import write_bundle
from potstill.runtime.manifest import Manifest, Threshold
from potstill.students.base import Student, as_tensors
from potstill.types import FloatArray, Input

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8_weights", "int8")
NUM_PROBES = 5
NUM_CALIBRATION = 256
# fp32 on another processor or another onnxruntime adds up in another order.
FP32_TOLERANCE = 1e-3
# Rounded to int8 the same sums land one step apart now and then.
INT8_TOLERANCE = 0.25


@dataclass(frozen=True, kw_only=True)
class BundleFacts:
    """What goes into a manifest beside the network.

    Attributes:
        temperatures: one a field.
        threshold: for what is out of scope.
        licenses: part -> licence.
        evaluation: the result line.
        created_by: name and version.
    """

    temperatures: Sequence[float]
    threshold: Threshold | None = None
    licenses: Mapping[str, str] | None = None
    evaluation: Mapping[str, Any] | None = None
    created_by: str = ""


def trace(student: Student, example: Input) -> bytes:
    """The network in fp32, ready to be bundled in any precision."""
    return to_onnx(student, example, max_length=getattr(student.preprocessor, "max_length", 4096))


def make_bundle(
    folder: Path, student: Student, fp32_model: bytes, precision: Precision, facts: BundleFacts, probes: Sequence[Input]
) -> Model:
    """Writes a bundle and returns it loaded.

    Args:
        folder: replaced if it is there.
        student: for the preprocessing and the parity check.
        fp32_model: from `trace`.
        precision: to ship in.
        facts: what else the manifest says.
        probes: real inputs of the transfer set. The logits of the first few are kept, so that a device can test itself;
            the first `NUM_CALIBRATION` measure the ranges of int8.

    Raises:
        IntegrityError: in fp32 the bundle does not give the logits or the embeddings of the network.
    """
    kept = list(probes[:NUM_PROBES])
    rows = student.preprocessor.encode(list(probes[:NUM_CALIBRATION]))
    calibration = [student.preprocessor.batch([row]) for row in rows]
    files = {"model.onnx": quantize(fp32_model, precision, calibration, ranges=student.ranges)}
    entry = _preprocessing(student, files)
    tolerance = FP32_TOLERANCE if precision != "int8" else INT8_TOLERANCE
    embeddings_ND = _embeddings(student, kept) if has_embedding(student) else None
    manifest = Manifest(
        schema=student.schema,
        preprocess=entry,
        precision=precision,
        temperatures=facts.temperatures,
        threshold=facts.threshold,
        probes=[],
        tolerance=tolerance,
        embedding_size=None if embeddings_ND is None else embeddings_ND.shape[1],
        licenses=facts.licenses or {},
        evaluation=facts.evaluation or {},
        created_by=facts.created_by,
    )
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "bundle"
        write_bundle(draft, manifest, files)
        drafted = load(draft)
        logits_NC = drafted.logits(kept)
        if precision == "fp32":
            _check_parity("a logit", student.logits(kept), logits_NC)
            if embeddings_ND is not None:
                _check_parity("an embedding", embeddings_ND, drafted.embed(kept))
    rows = [{"input": probe_value(value), "logits": logits_NC[i].tolist()} for i, value in enumerate(kept)]
    write_bundle(folder, replace(manifest, probes=rows), files)
    model = load(folder)
    model.self_test()
    return model


def _preprocessing(student: Student, files: dict[str, bytes]) -> dict[str, Any]:
    """Lets the preprocessing write its files and takes them in."""
    folder = Path(tempfile.mkdtemp())
    try:
        entry = student.preprocessor.save(folder)
        files.update({path.name: path.read_bytes() for path in folder.iterdir()})
    finally:
        shutil.rmtree(folder)
    return entry


@torch.no_grad()
def _embeddings(student: Student, inputs: Sequence[Input]) -> FloatArray:
    """Of length 1, N x D."""
    module = student.module.eval().cpu()
    rows = student.preprocessor.encode(list(inputs))
    batches = [as_tensors(student.preprocessor.batch([row])) for row in rows]
    found: FloatArray = F.normalize(torch.cat([module(**batch).embedding for batch in batches]), dim=1).numpy()
    return found


def _check_parity(what: str, trained: FloatArray, exported: FloatArray) -> None:
    difference = float(np.abs(trained - exported).max())
    scale = max(1.0, float(np.abs(exported).max()))
    if not difference <= FP32_TOLERANCE * scale:
        raise IntegrityError(
            f"the exported network differs from the trained one by {difference:.3g} in {what}, more than "
            f"{FP32_TOLERANCE * scale:.3g}. Nothing was shipped. Please report this with the versions of torch and "
            "onnxruntime."
        )


def probe_value(value: Input) -> Any:
    """An input as JSON values: a text as it is, an array as its bytes."""
    if isinstance(value, str):
        return value
    little = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<")))
    return {
        "dtype": little.dtype.str,
        "shape": list(little.shape),
        "base64": base64.b64encode(little.tobytes()).decode(),
    }
