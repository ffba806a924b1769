"""The ONNX file of a finished run: written, run in onnxruntime beside the student, timed, refused where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import onnx

from potstill.errors import ConfigurationError, IntegrityError
from potstill.evaluation.generation import matches
from potstill.evaluation.latency import interleaved_cpu_ms
from potstill.exporters.causal_onnx import causal_to_onnx, compare_next
from potstill.exporters.llama_cpp import Parity
from potstill.exporters.onnx import quantize
from potstill.exporters.onnx_file import tensor_groups
from potstill.exporters.target import TensorGroup
from potstill.files import canonical_json
from potstill.recipe.exporting import FACTS, FP32_TOLERANCE, device_table, replace_folder
from potstill.recipe.exporting import Measured as Figures
from potstill.recipe.generative.exporting import check_writer, read_rows
from potstill.recipe.run import BUNDLE
from potstill.runtime.generating import GenerativeBundle, OnnxDecoder, open_bundle
from potstill.runtime.manifest import NAME
from potstill.students.causal import load_causal_lm
from potstill.students.causal.chat import ChatTokens
from potstill.students.causal.decode import write
from potstill.types import Progress, Silent

FILE = "model.onnx"
# What of the bundle an app needs beside the network is all but the network in other forms.
LEFT_BEHIND = ("model.safetensors", "model.gguf", NAME)
NUM_TIMED = 20

Precision = Literal["fp32", "int8_weights"]


@dataclass(frozen=True, kw_only=True)
class OnnxWriterExport:
    """An ONNX file with what was found of it.

    Attributes:
        path: of the file.
        size_bytes: of it.
        precision: of its weights; it computes in fp32.
        has_cache: whether it takes and gives keys and values.
        parity: of the next token, against the student in fp32.
        measured: answers beside the fp32 student's, and times of one prompt and its next token.
        token_cpu_ms: of one further token; with a cache, without one, or both.
        groups: bytes of the weights by kind.
    """

    path: Path
    size_bytes: int
    precision: Precision
    has_cache: bool
    parity: Parity
    measured: Figures
    token_cpu_ms: Mapping[str, float]
    groups: Sequence[TensorGroup]

    def to_json(self) -> dict[str, Any]:
        """JSON values under the names of every other target."""
        return {
            "target": "onnx",
            "precision": self.precision,
            "path": str(self.path),
            "folder": str(self.path.parent),
            "size_bytes": self.size_bytes,
            "runtime": f"onnxruntime {version('onnxruntime')}",
            **asdict(self.measured),
            "top_1": self.parity.top_1,
            "top_5": self.parity.top_5,
            "cache": self.has_cache,
            "token_cpu_ms": dict(self.token_cpu_ms),
            "tensors": [group.to_json() for group in self.groups],
            "notes": [
                "agreement and accuracy are of whole greedy answers, beside those of the student in torch in fp32; kl "
                "and largest_difference are of the next token; cpu_ms is of one prompt and its next token",
            ],
            "device_table": device_table(self.measured),
        }


def export_writer_onnx(
    run_folder: Path,
    out: Path,
    *,
    precision: Precision = "fp32",
    with_cache: bool = True,
    allow_slower: bool = False,
    progress: Progress | None = None,
) -> OnnxWriterExport:
    """Writes the student of a run for onnxruntime; nothing is written where a check fails.

    Args:
        run_folder: of a finished run whose student writes.
        out: folder that is written; an older export there is replaced, and only by one that passed.
        precision: of the weights.
        with_cache: the model takes and gives keys and values, so that a further token costs one token.
        allow_slower: write a rounded file although it is slower than fp32.
        progress: where it says how far it is.

    Raises:
        ConfigurationError: a student or a precision that this target doesn't take.
        IntegrityError: onnxruntime computes something else than the student, or writes another answer with the cache.
        GateError: rounded weights lose too much, or are slower.
    """
    progress = progress or Silent()
    _check_precision(precision)
    bundle, rows = open_bundle(run_folder / BUNDLE), read_rows(run_folder)
    model, tokenizer = load_causal_lm(bundle.folder)
    tokens = ChatTokens(tokenizer)
    asked = [*(probe["messages"] for probe in bundle.manifest.probes), *(messages for messages, _ in rows)]
    prompts = [tokens.prompt(messages) for messages in asked]
    progress.stage("convert to onnx, fp32")
    fp32 = causal_to_onnx(model, with_cache=with_cache)
    content = quantize(fp32, precision)
    progress.stage("compare in onnxruntime")
    decoder = OnnxDecoder(content)
    parity, largest = compare_next(decoder, model, prompts)
    if precision == "fp32":
        _check_parity(parity, largest)
    plain = decoder if precision == "fp32" else OnnxDecoder(fp32)
    measured = Figures(
        **_answers(decoder, model, tokens, rows, bundle.manifest.max_new_tokens),
        **_times(decoder, plain, prompts),
        kl=parity.kl,
        largest_difference=parity.difference,
    )
    check_writer("onnx", precision, parity, measured, plain="fp32", allow_slower=allow_slower)
    found = OnnxWriterExport(
        path=out / FILE,
        size_bytes=len(content),
        precision=precision,
        has_cache=with_cache,
        parity=parity,
        measured=measured,
        token_cpu_ms=_token_cpu_ms(decoder, prompts),
        groups=tensor_groups(onnx.load_from_string(content)),
    )
    replace_folder(out, {**_beside(bundle), FILE: content, FACTS: canonical_json(found.to_json())})
    return found


def _check_precision(precision: str) -> None:
    if precision not in ("fp32", "int8_weights"):
        raise ConfigurationError(
            f"a student that writes has no ONNX in {precision}: what is rounded at run time depends on how many tokens "
            "are read at once, so answers would change with the cache. Choose --precision fp32 or int8_weights."
        )


def _beside(bundle: GenerativeBundle) -> dict[str, bytes]:
    """Tokenizer, chat template and configuration."""
    return {name: (bundle.folder / name).read_bytes() for name in bundle.manifest.files if name not in LEFT_BEHIND}


def _check_parity(parity: Parity, largest: float) -> None:
    limit = FP32_TOLERANCE * max(1.0, largest)
    if not parity.difference <= limit or parity.top_5 < 1:
        raise IntegrityError(
            f"in fp32 onnxruntime differs from the student by {parity.difference:.3g} in a logit (at most {limit:.3g} "
            f"is rounding), and of the five likeliest next tokens {parity.top_5:.4f} are the same. Nothing was "
            "written: the conversion is wrong. Report this with the versions of torch and onnxruntime."
        )


def _answers(
    decoder: OnnxDecoder, model: Any, tokens: ChatTokens, rows: Sequence[tuple[Any, str]], limit: int
) -> dict[str, Any]:
    """Whole greedy answers beside those of the student in torch, and beside what is right."""
    asked = [tokens.prompt(messages) for messages, _ in rows]
    said = [tokens.text(_answer(decoder, ids, tokens.end, limit)) for ids in asked]
    wanted = [""] * len(asked)
    for position, written in write(model, asked, end=tokens.end, max_new_tokens=limit):
        wanted[position] = tokens.text(written.ids.tolist())
    right = [answer for _, answer in rows]
    return {
        "agreement": float(matches(said, wanted).mean()),
        "accuracy": float(matches(said, right).mean()),
        "fp32_accuracy": float(matches(wanted, right).mean()),
        "num_rows": len(rows),
    }


def _times(decoder: OnnxDecoder, plain: OnnxDecoder, prompts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """CPU time of a prompt and its next token, beside the same in fp32."""
    calls = {name: [partial(d.next_logits, ids) for ids in prompts] for name, d in (("own", decoder), ("fp32", plain))}
    found = interleaved_cpu_ms(calls, num_calls=NUM_TIMED)
    return {"cpu_ms": found["own"], "fp32_cpu_ms": found["fp32"]}


def _answer(decoder: OnnxDecoder, ids: Sequence[int], end: int, limit: int) -> list[int]:
    """A greedy answer, the same with the cache and without.

    Raises:
        IntegrityError: it isn't.
    """
    answer = decoder.write(ids, end=end, max_new_tokens=limit)
    if decoder.has_cache and decoder.write(ids, end=end, max_new_tokens=limit, uses_cache=False) != answer:
        raise IntegrityError(
            "with the cache of keys and values onnxruntime writes another answer than without. Nothing was written. "
            "Report this with the versions of torch and onnxruntime, or export with --cache none."
        )
    return answer


def _token_cpu_ms(decoder: OnnxDecoder, prompts: Sequence[Sequence[int]]) -> dict[str, float]:
    """CPU time of the token behind a prompt: from the cache, and with everything read again."""
    calls: dict[str, list[Any]] = {"recomputed": [partial(decoder.next_logits, ids) for ids in prompts]}
    if decoder.has_cache:
        calls["cached"] = [partial(decoder.step, ids[-1:], decoder.step(ids[:-1])[1]) for ids in prompts]
    return interleaved_cpu_ms(calls, num_calls=NUM_TIMED)
