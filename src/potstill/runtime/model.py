"""A loaded bundle: inputs in, labels with calibrated probabilities out. N rows, C logits, D values of an embedding."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from potstill.errors import BundleError, DataError
from potstill.runtime.manifest import EMBEDDING, NAME, Manifest, check_files, parse_manifest
from potstill.runtime.media import read_picture, read_sound
from potstill.runtime.onnx_guard import check_onnx
from potstill.runtime.preprocess import KINDS, Preprocessor
from potstill.runtime.safe_zip import read_files
from potstill.types import FloatArray, Input, LabelSchema

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

BATCH_SIZE = 64
# Inputs are encoded in blocks of this many, so that a long list needs little memory.
BLOCK = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a model says about one input.

    Attributes:
        label: the answer: a class; a list of classes for a multi-label field; a dict of these by field name when
            there are several fields.
        probability: calibrated probability of the answer; for several fields or labels the product.
        probabilities: class -> probability, or field -> class -> probability for several fields.
        in_scope: False when the input looks like none of the classes; None when the bundle has no threshold.
    """

    label: Any
    probability: float
    probabilities: dict[str, Any]
    in_scope: bool | None

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "label": self.label,
            "probability": self.probability,
            "in_scope": self.in_scope,
            "probabilities": self.probabilities,
        }


class Model:
    """A bundle ready to predict; see `load`."""

    def __init__(self, manifest: Manifest, preprocessor: Preprocessor, session: InferenceSession, digest: str) -> None:
        self.manifest = manifest
        self.digest = digest
        self._preprocessor = preprocessor
        self._session = session

    @property
    def schema(self) -> LabelSchema:
        """What the logits stand for."""
        return self.manifest.schema

    @property
    def preprocessor(self) -> Preprocessor:
        """What turns inputs into the network's arrays."""
        return self._preprocessor

    def logits(self, inputs: Sequence[Input]) -> FloatArray:
        """Returns float32 logits before calibration, N x C.

        Raises:
            DataError: an input of a type or shape that this model doesn't take.
        """
        return self._outputs(inputs, "logits", self.schema.num_logits)

    def embed(self, inputs: Sequence[Input]) -> FloatArray:
        """Returns what the network sees in each input, float32, N x D, each of length 1.

        Inputs that the student takes for alike lie close together, so a dot product says how alike.

        Raises:
            DataError: as `logits`, or this bundle gives no embeddings.
        """
        size = self.manifest.embedding_size
        if size is None:
            raise DataError(
                "this bundle gives no embeddings. Those of students that read texts as pieces (cnn, static, encoder) "
                "do, unless they were written before there were any; then distil the student again."
            )
        features_ND = self._outputs(inputs, EMBEDDING, size)
        # A text of which the network sees nothing stays 0.
        lengths_N1 = np.maximum(np.linalg.norm(features_ND, axis=1, keepdims=True), 1e-12)
        found: FloatArray = features_ND / lengths_N1
        return found

    def _outputs(self, inputs: Sequence[Input], name: str, width: int) -> FloatArray:
        _check_list(inputs)
        parts = [self._block(inputs[i : i + BLOCK], name, width) for i in range(0, len(inputs), BLOCK)]
        return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)

    def _block(self, inputs: Sequence[Input], name: str, width: int) -> FloatArray:
        encoded = self._preprocessor.encode(inputs)
        order = np.argsort([self._preprocessor.length(item) for item in encoded], kind="stable")
        found = np.empty((len(encoded), width), np.float32)
        for start in range(0, len(order), BATCH_SIZE):
            positions = order[start : start + BATCH_SIZE]
            batch = self._preprocessor.batch([encoded[i] for i in positions])
            found[positions] = self._session.run([name], batch)[0]
        return found

    @property
    def modality(self) -> Literal["text", "image", "audio"]:
        """What an input is."""
        kinds: dict[str, Literal["image", "audio"]] = {"pixels": "image", "log_mel": "audio"}
        return kinds.get(str(self.manifest.preprocess["kind"]), "text")

    def read(self, source: bytes | Path) -> Input:
        """A picture or sound file as this model's input, just as it was read in training.

        Raises:
            DataError: it can't be read, or this model reads texts.
            MissingExtraError: the package that reads such files is not installed.
        """
        if self.modality == "text":
            raise DataError("this model reads texts, not files of pictures or sounds")
        if self.modality == "audio":
            return read_sound(source, int(self.manifest.preprocess["rate"]))
        picture = read_picture(source)
        if self.manifest.preprocess["channels"] == 1:
            raise DataError("this model reads grey arrays of its own scale, not picture files; pass arrays to predict")
        return picture

    def prepare(self, value: Input) -> dict[str, Any]:
        """The arrays of one input, for `run`."""
        return self._preprocessor.batch(self._preprocessor.encode([value]))

    def run(self, batch: dict[str, Any]) -> FloatArray:
        """The network alone, on prepared arrays."""
        logits: FloatArray = self._session.run(["logits"], batch)[0]
        return logits

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """Predicts each input.

        Raises:
            DataError: as `logits`.
        """
        logits_NC = self.logits(inputs)
        probabilities_NC = self._probabilities(logits_NC)
        scores = self._scope_scores(logits_NC)
        threshold = self.manifest.threshold
        predictions = []
        for row in range(len(inputs)):
            label, probability, by_class = _describe(self.schema, probabilities_NC[row])
            in_scope = None if threshold is None else bool(scores[row] >= threshold.value)
            predictions.append(
                Prediction(label=label, probability=probability, probabilities=by_class, in_scope=in_scope)
            )
        return predictions

    def self_test(self) -> None:
        """Predicts the probe inputs of the bundle and compares.

        Raises:
            BundleError: this machine computes something else than the one that wrote the bundle.
        """
        probes = self.manifest.probes
        if not probes:
            return
        inputs = self.probe_inputs()
        expected = np.array([row["logits"] for row in probes], np.float64)
        difference = float(np.abs(self.logits(inputs) - expected).max())
        if not difference <= self.manifest.tolerance:
            raise BundleError(
                f"the probe inputs give logits that differ by {difference:.3g} from those in the manifest, more than "
                f"{self.manifest.tolerance:.3g}. This onnxruntime computes something else than the one that wrote the "
                "bundle: try another version of onnxruntime, or export the student again in fp32."
            )

    def probe_inputs(self) -> list[Input]:
        """The inputs whose logits the manifest promises.

        Raises:
            BundleError: they are not in their form.
        """
        try:
            return [_probe_input(row["input"]) for row in self.manifest.probes]
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the manifest's probes are not in their form: {error!r}") from error

    def _probabilities(self, logits_NC: FloatArray) -> FloatArray:
        result = np.empty(logits_NC.shape, np.float64)
        for i, (field, logit, _) in enumerate(self.schema.parts()):
            scaled = logits_NC[:, logit].astype(np.float64) / self.manifest.temperatures[i]
            if field.multi:
                result[:, logit] = 1 / (1 + np.exp(-np.clip(scaled, -500, 500)))
            else:
                exponents = np.exp(scaled - scaled.max(1, keepdims=True))
                result[:, logit] = exponents / exponents.sum(1, keepdims=True)
        return result

    def _scope_scores(self, logits_NC: FloatArray) -> FloatArray:
        kind = self.manifest.threshold.score if self.manifest.threshold else "max_logit"
        per_field = []
        for field, logit, _ in self.schema.parts():
            values = logits_NC[:, logit].astype(np.float64)
            highest = values.max(1)
            if kind == "energy" and not field.multi:
                highest = highest + np.log(np.exp(values - highest[:, None]).sum(1))
            per_field.append(highest)
        scores: FloatArray = np.min(per_field, axis=0)
        return scores


def load(path: Path | str, *, threads: int = 1) -> Model:
    """Opens a bundle, a folder or a zip file.

    Args:
        path: the bundle.
        threads: threads that one prediction may use.

    Raises:
        BundleError: damaged, hostile, or of an unknown version.
    """
    files = read_files(Path(path))
    if NAME not in files:
        raise BundleError(f"{path} holds no {NAME}, so it is no bundle. A run writes its bundle into RUN/bundle.")
    manifest = parse_manifest(files[NAME])
    check_files(manifest, files)
    if "model.onnx" not in files:
        raise BundleError("the bundle holds no model.onnx")
    check_onnx(files["model.onnx"])
    preprocessor = _preprocessor(manifest, files)
    import hashlib

    # Convolutions on pictures were given ranges for int8 and compute in it; elsewhere int8 is a way to store weights.
    computes_int8 = manifest.precision == "int8" and preprocessor.kind in ("pixels", "log_mel")
    session = open_session(files["model.onnx"], threads, computes_int8=computes_int8)
    _check_outputs(session, manifest)
    return Model(manifest, preprocessor, session, hashlib.sha256(files[NAME]).hexdigest())


def _check_outputs(session: InferenceSession, manifest: Manifest) -> None:
    shapes = {output.name: output.shape for output in session.get_outputs()}
    promised = {"logits"} if manifest.embedding_size is None else {"logits", EMBEDDING}
    if missing := promised - set(shapes):
        raise BundleError(f"the model has no output {min(missing)!r}. Export the student again.")
    if manifest.embedding_size is not None and shapes[EMBEDDING][-1:] != [manifest.embedding_size]:
        raise BundleError(
            f"the model's embeddings have the shape {shapes[EMBEDDING]}, and the manifest says "
            f"{manifest.embedding_size} values. Export the student again."
        )


def _preprocessor(manifest: Manifest, files: dict[str, bytes]) -> Preprocessor:
    kind = manifest.preprocess.get("kind")
    if kind not in KINDS:
        raise BundleError(
            f"the bundle wants preprocessing {kind!r}; this runtime knows {', '.join(sorted(KINDS))}. Upgrade with: "
            "pip install --upgrade potstill"
        )
    try:
        found: Preprocessor = KINDS[kind].from_entry(manifest.preprocess, files)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise BundleError(f"the manifest's preprocessing is not in its form: {error!r}") from error
    return found


def open_session(model: bytes, threads: int, *, computes_int8: bool) -> InferenceSession:
    """The network in onnxruntime, as bundles are run.

    Raises:
        BundleError: onnxruntime can't read it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The arena keeps the memory of the largest batch for ever; a device wants it back.
    options.enable_cpu_mem_arena = False
    if not computes_int8:
        # Weights that are stored as int8 become fp32 once, when the session is made, and not at every call.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors have no common base
        raise BundleError(f"onnxruntime can't read the model: {str(error)[:300]}") from error


def _describe(schema: LabelSchema, probabilities: FloatArray) -> tuple[Any, float, dict[str, Any]]:
    labels: dict[str, Any] = {}
    by_field: dict[str, dict[str, float]] = {}
    joint = 1.0
    for field, logit, _ in schema.parts():
        part = probabilities[logit]
        by_field[field.name] = dict(zip(field.classes, part.round(6).tolist(), strict=True))
        if field.multi:
            labels[field.name] = [name for name, p in zip(field.classes, part, strict=True) if p > 0.5]
            joint *= float(np.maximum(part, 1 - part).prod())
        else:
            best = int(part.argmax())
            labels[field.name] = field.classes[best]
            joint *= float(part[best])
    if len(schema.fields) == 1:
        name = schema.fields[0].name
        return labels[name], round(joint, 6), dict(by_field[name])
    return labels, round(joint, 6), dict(by_field)


def _probe_input(value: Any) -> Input:
    if isinstance(value, str):
        return value
    if "values" in value:
        return np.array(value["values"], dtype=value["dtype"])
    flat = np.frombuffer(base64.b64decode(value["base64"], validate=True), _plain_dtype(value["dtype"]))
    return flat.reshape([int(n) for n in value["shape"]])


def _plain_dtype(name: str) -> np.dtype[Any]:
    dtype = np.dtype(name)
    if dtype.kind not in "uif":
        raise ValueError(f"a probe of {name}")
    return dtype


def _check_list(inputs: Sequence[Input]) -> None:
    if isinstance(inputs, str | bytes):
        raise DataError(f"predict takes a list of inputs, and got one {type(inputs).__name__}. Write predict([...]).")
