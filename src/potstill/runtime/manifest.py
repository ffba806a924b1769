"""The manifest of a bundle: what lies in it, and what it promises. `docs/reference/bundle.md` describes the format."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from potstill.errors import BundleError, DataError
from potstill.types import LabelSchema

FORMAT = "potstill-bundle"
GENERATIVE_FORMAT = "potstill-generative-bundle"
FORMAT_VERSION = 1
NAME = "manifest.json"
# Output of a network; torch calls a step inside it `embedding`.
EMBEDDING = "text_embedding"
MAX_MANIFEST_BYTES = 16 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Below this score an input counts as out of scope (see `potstill.evaluation.out_of_scope`)."""

    score: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All of a bundle but the bytes of its files.

    Attributes:
        schema: what the logits stand for.
        preprocess: entry of the preprocessing, see `potstill.runtime.preprocess`.
        precision: of the model.
        temperatures: one a field; logits are divided by them before they become probabilities.
        threshold: for inputs that are out of scope; None accepts everything.
        probes: inputs (texts, or nested lists for arrays) with the logits that they must give.
        tolerance: largest difference of a probe's logit.
        embedding_size: values of the network's second output `EMBEDDING`; None where it has none, as in all bundles
            from before there was one.
        licenses: part -> licence, where known.
        evaluation: the result line of the run.
        created_by: name and version of what wrote it.
        files: name -> {"sha256", "size_bytes"} of every other file.
    """

    schema: LabelSchema
    preprocess: Mapping[str, Any]
    precision: str
    temperatures: Sequence[float]
    threshold: Threshold | None
    probes: Sequence[Mapping[str, Any]]
    tolerance: float
    embedding_size: int | None = None
    licenses: Mapping[str, str] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = ""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The content of manifest.json."""
        threshold = self.threshold
        embedding = (
            {} if self.embedding_size is None else {"embedding": {"output": EMBEDDING, "size": self.embedding_size}}
        )
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "created_by": self.created_by,
            "schema": self.schema.to_json(),
            "preprocess": dict(self.preprocess),
            "model": {"file": "model.onnx", "precision": self.precision},
            "calibration": {"temperatures": list(self.temperatures)},
            "threshold": {"score": threshold.score, "value": threshold.value} if threshold else None,
            "probes": {"tolerance": self.tolerance, "rows": [dict(row) for row in self.probes]},
            **embedding,
            "licenses": dict(self.licenses),
            "evaluation": dict(self.evaluation),
            "files": {name: dict(entry) for name, entry in self.files.items()},
        }


def parse_manifest(content: bytes) -> Manifest:
    """Reads manifest.json; keys that this version doesn't know are left alone.

    Raises:
        BundleError: it isn't one, or of a version that this runtime can't read.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise BundleError(f"{NAME} is {len(content)} bytes; at most {MAX_MANIFEST_BYTES} are read")
    try:
        values = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{NAME} is no valid JSON: {error}. Copy or download the bundle again.") from error
    if isinstance(values, dict) and values.get("format") == GENERATIVE_FORMAT:
        raise BundleError(
            "the bundle's student writes texts and has no classes. Use `potstill predict`, or "
            "potstill.runtime.generating.open_bundle."
        )
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise BundleError(f"{NAME} doesn't say {FORMAT!r}, so this is no bundle of Potstill")
    if values.get("format_version") != FORMAT_VERSION:
        raise BundleError(
            f"the bundle is of format version {values.get('format_version')!r}; this runtime reads {FORMAT_VERSION}. "
            "Upgrade with: pip install --upgrade potstill"
        )
    try:
        return _from_values(values)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, DataError) as error:
        raise BundleError(f"{NAME} lacks something or holds it in a wrong form: {error!r}") from error


def check_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Compares the files with the manifest, both ways.

    Raises:
        BundleError: a file is missing, too many, or not the one that was written.
    """
    wanted, there = set(manifest.files), set(files) - {NAME}
    if wanted != there:
        raise BundleError(
            f"the bundle's files are not those of its manifest: missing {sorted(wanted - there)}, unknown "
            f"{sorted(there - wanted)}. Copy or download the bundle again."
        )
    for name, entry in manifest.files.items():
        if len(files[name]) != entry["size_bytes"] or hashlib.sha256(files[name]).hexdigest() != entry["sha256"]:
            raise BundleError(f"{name} is not the file that was written: its hash differs. Copy the bundle again.")


def _from_values(values: Mapping[str, Any]) -> Manifest:
    threshold = values["threshold"]
    temperatures = [float(t) for t in values["calibration"]["temperatures"]]
    schema = LabelSchema.from_json(values["schema"])
    if len(temperatures) != len(schema.fields) or not all(t > 0 and math.isfinite(t) for t in temperatures):
        raise BundleError(f"{NAME} has temperatures {temperatures} for {len(schema.fields)} fields")
    if values["model"]["file"] != "model.onnx":
        raise BundleError(f"{NAME} names the model {values['model']['file']!r}; this version reads model.onnx")
    return Manifest(
        schema=schema,
        preprocess=dict(values["preprocess"]),
        precision=str(values["model"]["precision"]),
        temperatures=temperatures,
        threshold=Threshold(score=str(threshold["score"]), value=float(threshold["value"])) if threshold else None,
        probes=[
            {"input": row["input"], "logits": [float(x) for x in row["logits"]]} for row in values["probes"]["rows"]
        ],
        tolerance=float(values["probes"]["tolerance"]),
        embedding_size=int(values["embedding"]["size"]) if "embedding" in values else None,
        licenses={str(k): str(v) for k, v in values.get("licenses", {}).items()},
        evaluation=dict(values.get("evaluation", {})),
        created_by=str(values.get("created_by", "")),
        files={
            str(name): {"sha256": str(entry["sha256"]), "size_bytes": int(entry["size_bytes"])}
            for name, entry in values["files"].items()
        },
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands twice")
    return values


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
