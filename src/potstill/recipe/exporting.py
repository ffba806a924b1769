"""A run's student for another runtime: converted, run there on held-out rows, measured, and refused where it fails."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import ConfigurationError, GateError, IntegrityError, PotstillError
from potstill.evaluation.assess import agreement, mean_kl
from potstill.evaluation.latency import interleaved_cpu_ms
from potstill.evaluation.metrics import accuracy, answers
from potstill.exporters.in_graph import TextModel
from potstill.exporters.precisions import Precision
from potstill.exporters.source import Batch, Source, load_source
from potstill.exporters.target import Exported, Nodes, Run, Target, TensorGroup
from potstill.files import canonical_json, digest, write_atomic
from potstill.recipe.precision import LARGEST_ACCURACY_LOSS, LARGEST_KL, LEAST_AGREEMENT
from potstill.recipe.run import REPORT, RESULT
from potstill.report import load_content
from potstill.runtime.manifest import NAME
from potstill.types import FloatArray, Input, IntArray, Progress, Silent

FACTS = "export.json"
# Runtimes add up in another order; relative to the largest logit.
FP32_TOLERANCE = 1e-4
NUM_ROWS, NUM_TIMED = 2000, 200
# Two measurements of the same network differ by this much on a busy machine.
NOISE = 1.15


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What an export was found to be; figures of what can't run here are None.

    Attributes:
        agreement: share of held-out rows with the answer of the fp32 student.
        accuracy: on held-out labelled rows.
        fp32_accuracy: the fp32 student's, on the same rows.
        kl: nats a row from the fp32 student's probabilities.
        largest_difference: of a logit, fp32 student against this.
        cpu_ms: median CPU time of one input through the network, everything that the process spent.
        fp32_cpu_ms: the same target in fp32, in the same process, in turns.
        num_rows: held-out rows that were compared.
    """

    agreement: float | None = None
    accuracy: float | None = None
    fp32_accuracy: float | None = None
    kl: float | None = None
    largest_difference: float | None = None
    cpu_ms: float | None = None
    fp32_cpu_ms: float | None = None
    num_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Export:
    """A finished export.

    Attributes:
        target: its name.
        precision: that was written.
        folder: of all files.
        path: of the model.
        size_bytes: of the model.
        runtime: name and version of what ran it.
        measured: what was found.
        groups: bytes of the weights by kind.
        nodes: who runs the operations.
        notes: what else a person should know.
    """

    target: str
    precision: str
    folder: Path
    path: Path
    size_bytes: int
    runtime: str
    measured: Measured
    groups: tuple[TensorGroup, ...]
    nodes: Nodes
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values, the measures at the top."""
        found = asdict(self.measured)
        return {
            "target": self.target,
            "precision": self.precision,
            "path": str(self.path),
            "folder": str(self.folder),
            "size_bytes": self.size_bytes,
            "runtime": self.runtime,
            **found,
            "tensors": [group.to_json() for group in self.groups],
            "nodes": asdict(self.nodes),
            "notes": list(self.notes),
            "device_table": device_table(self.measured),
        }


def device_table(measured: Measured) -> list[dict[str, Any]]:
    """Figures with where each comes from. Nothing here ran on a phone, and nothing is said of one."""
    if measured.cpu_ms is None:
        return []
    where = f"measured on {platform.machine()}, {platform.system()}, 1 thread"
    return [
        {"what": "cpu_ms", "value": measured.cpu_ms, "source": where},
        {"what": "fp32_cpu_ms", "value": measured.fp32_cpu_ms, "source": where},
    ]


def export(
    run_folder: Path,
    target: Target,
    out: Path,
    *,
    precision: Precision | None = None,
    allow_slower: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Converts the student of a finished run, checks it through the target's own runtime, and writes it.

    Args:
        run_folder: of a finished run.
        target: where to.
        out: folder that is written; an older export there is replaced, and only by one that passed.
        precision: None takes the target's usual one.
        allow_slower: write an int8 model although it is slower than fp32.
        progress: where it says how far it is.

    Raises:
        ConfigurationError: no finished run, or a student or precision that the target can't take.
        IntegrityError: in fp32 the target computes something else than the student.
        GateError: int8 loses too much, or is slower than fp32.
    """
    progress = progress or Silent()
    if not (run_folder / RESULT).exists():
        raise ConfigurationError(
            f"{run_folder} is not a finished run. Run `potstill distill ... --out {run_folder}` first."
        )
    source = load_source(run_folder / "contenders" / "student")
    chosen = precision or target.precisions[-1]
    if chosen not in target.precisions:
        raise ConfigurationError(
            f"{target.kind} has no precision {chosen!r}; it has {', '.join(target.precisions)}. Leave --precision out "
            f"for {target.precisions[-1]}."
        )
    progress.stage(f"convert to {target.kind}, fp32")
    plain = convert(target, source, "fp32")
    progress.stage(f"convert to {target.kind}, {chosen}")
    exported = plain if chosen == "fp32" else convert(target, source, chosen)
    progress.stage("compare on held-out rows")
    rows = held_out(run_folder)
    measured = measure(source, rows, plain, exported)
    check(target.kind, chosen, measured, allow_slower=allow_slower)
    if exported.text is not None:
        check_texts(source, exported, exported.text, rows.inputs)
    found = Export(
        target=target.kind,
        precision=chosen,
        folder=out,
        path=out / exported.file,
        size_bytes=exported.size_bytes,
        runtime=exported.runtime,
        measured=measured,
        groups=exported.groups,
        nodes=exported.nodes,
        notes=(*exported.notes, *_flags(exported.groups)),
    )
    write_export(source, exported, found)
    return found


def convert(target: Target, source: Source, precision: Precision) -> Exported:
    """The student as the target has it; a converter's own failure, which may be of any type, is told as one.

    Raises:
        ConfigurationError: the converter can't take this student.
    """
    try:
        return target.export(source, precision)
    except PotstillError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"the converter to {target.kind} fails on this student in {precision} ({type(error).__name__}: "
            f"{str(error)[:300]}). Nothing was written. Choose another --target, or report this with the versions."
        ) from error


@dataclass(frozen=True)
class HeldOut:
    """Rows that nothing was learned from: inputs, and labels N x L."""

    inputs: Sequence[Input]
    labels: IntArray


def held_out(run_folder: Path) -> HeldOut:
    """The test rows of a run; they judge an export and choose nothing."""
    content = load_content(run_folder / REPORT)
    inside = np.flatnonzero((content.assessment.test_labels >= 0).any(1))[:NUM_ROWS]
    return HeldOut([content.test_inputs[i] for i in inside], content.assessment.test_labels[inside])


def measure(source: Source, rows: HeldOut, plain: Exported, exported: Exported) -> Measured:
    """Compares with the fp32 student and times in turns.

    Raises:
        IntegrityError: in fp32 the target computes something else than the student.
    """
    if exported.run is None or plain.run is None:
        return Measured()
    student = source.student
    batches = [student.preprocessor.batch([row]) for row in student.preprocessor.encode(rows.inputs)]
    expected = student.logits(rows.inputs)
    check_parity(plain.runtime, expected, logits_of(plain.run, batches))
    said = logits_of(exported.run, batches)
    timed = {"own": exported.run, "fp32": plain.run}
    ready = {name: [partial(run, batch) for batch in batches[:50]] for name, run in timed.items()}
    cpu_ms = interleaved_cpu_ms(ready, num_calls=NUM_TIMED)
    schema = student.schema
    return Measured(
        agreement=agreement(answers(said, schema), answers(expected, schema)),
        accuracy=accuracy(said, rows.labels, schema),
        fp32_accuracy=accuracy(expected, rows.labels, schema),
        kl=mean_kl(expected, said, schema),
        largest_difference=float(np.abs(said - expected).max()),
        cpu_ms=cpu_ms["own"],
        fp32_cpu_ms=cpu_ms["fp32"],
        num_rows=len(rows.inputs),
    )


def logits_of(run: Run, batches: Sequence[Batch]) -> FloatArray:
    """N x C, one input at a time."""
    return np.concatenate([np.asarray(run(batch), np.float32).reshape(1, -1) for batch in batches])


def check_parity(runtime: str, expected: FloatArray, said: FloatArray) -> None:
    """In fp32 every logit must be that of the student.

    Raises:
        IntegrityError: it isn't.
    """
    if said.shape != expected.shape:
        raise IntegrityError(f"{runtime} gives logits of shape {said.shape}, the student {expected.shape}")
    difference = float(np.abs(said - expected).max())
    limit = FP32_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not difference <= limit:
        raise IntegrityError(
            f"in fp32 {runtime} differs from the student by {difference:.3g} in a logit, more than {limit:.3g}. "
            "Nothing was written: the conversion is wrong. Report this with the versions of torch and of that runtime."
        )


def check(kind: str, precision: str, measured: Measured, *, allow_slower: bool) -> None:
    """Agreement, accuracy and divergence decide; the largest difference of a logit says nothing about int8.

    Raises:
        GateError: at least one limit is passed.
    """
    if measured.agreement is None or measured.kl is None:
        return
    change = (measured.accuracy or 0.0) - (measured.fp32_accuracy or 0.0)
    missed = []
    if measured.agreement < LEAST_AGREEMENT:
        missed.append(f"it agrees with the fp32 student on {measured.agreement:.4f} of the rows, not {LEAST_AGREEMENT}")
    if change < -LARGEST_ACCURACY_LOSS:
        missed.append(f"accuracy changes by {change:.4f}, at most {-LARGEST_ACCURACY_LOSS} is allowed")
    if measured.kl > LARGEST_KL:
        missed.append(f"its probabilities are {measured.kl:.4f} nats away, at most {LARGEST_KL} is allowed")
    refuse_loss(f"{kind} in {precision}", measured, missed, "--precision fp32")
    if precision == "int8" and not allow_slower:
        refuse_slower(f"{kind} in int8", "fp32", measured, "--precision fp32")


def refuse_loss(what: str, measured: Measured, missed: Sequence[str], remedy: str) -> None:
    """Ends an export that misses limits.

    Raises:
        GateError: it misses at least one.
    """
    if missed:
        raise GateError(
            f"{what} loses too much on {measured.num_rows} held-out rows: {'; '.join(missed)}. Nothing was written. "
            f"Export with {remedy}."
        )


def refuse_slower(what: str, plain: str, measured: Measured, remedy: str) -> None:
    """Ends an export whose rounding costs time.

    Raises:
        GateError: it is slower than the plain form by more than noise.
    """
    own_ms, plain_ms = measured.cpu_ms or 0.0, measured.fp32_cpu_ms or 0.0
    if own_ms > NOISE * plain_ms:
        raise GateError(
            f"{what} takes {own_ms:.3f} ms, {plain} {plain_ms:.3f} ms in the same process: slower. Nothing was "
            f"written. Export with {remedy}, or say --allow-slower if size is all that counts."
        )


def check_texts(source: Source, exported: Exported, text: TextModel, inputs: Sequence[Input]) -> None:
    """A tokenizer inside the model must give the very ids of the student's own, on every held-out text.

    Raises:
        GateError: other ids, or other logits behind the same ids.
    """
    encoded = source.student.preprocessor.encode(inputs)
    texts = [str(value) for value in inputs]
    others = [value for value, ids in zip(texts, encoded, strict=True) if text.ids(value) != ids.tolist()]
    if others:
        raise GateError(
            f"the tokenizer in the graph cuts {len(others)} of {len(texts)} held-out texts otherwise, the first: "
            f"{others[0][:100]!r}. Nothing was written. Leave --tokenizer out and cut texts with tokenizer.json."
        )
    assert exported.run is not None, "onnxruntime runs here"
    for value, ids in list(zip(texts, encoded, strict=True))[:NUM_TIMED]:
        difference = float(np.abs(text.logits(value) - exported.run(source.student.preprocessor.batch([ids]))).max())
        if not difference <= FP32_TOLERANCE:
            raise GateError(
                f"the model with its tokenizer inside gives other logits for {value[:100]!r} ({difference:.3g})"
            )


def _flags(groups: Sequence[TensorGroup]) -> tuple[str, ...]:
    left = sum(group.size_bytes for group in groups if group.is_fp32_embedding)
    total = sum(group.size_bytes for group in groups)
    if not left or all(group.dtype == "float32" for group in groups if group.name != "other"):
        return ()
    return (f"embeddings stay in fp32: {left:,} of {total:,} bytes of weights",)


def write_export(source: Source, exported: Exported, found: Export) -> None:
    """The model with all that an app needs beside it, in place of an older export."""
    folder = found.folder
    files = dict(exported.files)
    with tempfile.TemporaryDirectory() as scratch:
        source.student.preprocessor.save(Path(scratch))
        files.update({path.name: path.read_bytes() for path in Path(scratch).iterdir()})
    files[FACTS] = json.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False).encode()
    files[NAME] = canonical_json(_manifest(source, exported, found, files))
    replace_folder(folder, files)


def replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes a folder beside and then in one step in place of an older one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, content in files.items():
            write_atomic(beside / name, content)
        beside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _manifest(source: Source, exported: Exported, found: Export, files: Mapping[str, bytes]) -> dict[str, Any]:
    """That of a bundle, with the model's own entry; probes hold the logits of this very model."""
    base = source.bundle.manifest
    rows = [dict(row) for row in base.probes]
    if exported.run is not None:
        encoded = source.student.preprocessor.encode(source.probes)
        batches = [source.student.preprocessor.batch([row]) for row in encoded]
        for row, logits in zip(rows, logits_of(exported.run, batches), strict=True):
            row["logits"] = logits.tolist()
    listed = {name: {"sha256": digest(content), "size_bytes": len(content)} for name, content in sorted(files.items())}
    evaluation = {"agreement": found.measured.agreement, "accuracy": found.measured.accuracy}
    # Other runtimes get the logits alone.
    size = base.embedding_size if found.target == "onnx" else None
    changed = replace(base, probes=rows, precision=found.precision, evaluation=evaluation, files=listed)
    values = replace(changed, embedding_size=size).to_json()
    model = {"file": exported.file, "precision": found.precision, "target": found.target, "runtime": found.runtime}
    return {**values, "model": {**model, **exported.entry}}
