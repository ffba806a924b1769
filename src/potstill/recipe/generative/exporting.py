"""The GGUF file of a finished run: written, read in llama.cpp beside the student, timed, and refused where it fails."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import MissingExtraError
from potstill.evaluation.generation import matches
from potstill.exporters.gguf import Quantization, export_gguf
from potstill.exporters.llama_cpp import LlamaCpp, Parity, check_gguf
from potstill.files import canonical_json
from potstill.recipe.exporting import FACTS, device_table, refuse_loss, refuse_slower, replace_folder
from potstill.recipe.exporting import Measured as Figures
from potstill.recipe.precision import LARGEST_ACCURACY_LOSS
from potstill.recipe.run import BUNDLE, REPORT, RESULT
from potstill.report.generative import load_written_content
from potstill.runtime.generating import GenerativeBundle, LlamaGenerator, open_bundle
from potstill.runtime.manifest import NAME
from potstill.students.causal import load_tokenizer
from potstill.students.causal.chat import ChatTokens
from potstill.types import Progress, Silent

FILE = "model.gguf"
# Of the five most probable next tokens, on average over the prompts.
LEAST_TOP_5 = 0.8
NUM_ANSWERS, NUM_TIMED, NUM_ROUNDS = 64, 10, 3


@dataclass(frozen=True, kw_only=True)
class WriterExport:
    """A GGUF file with what was found of it.

    Attributes:
        path: of the file.
        facts: what the exporter says.
        parity: of the next token, against the student in fp32.
        measured: answers and times; its `agreement` is the share of answers that are the fp32 file's.
    """

    path: Path
    facts: Mapping[str, Any]
    parity: Parity
    measured: Figures

    def to_json(self) -> dict[str, Any]:
        """JSON values under the names of every other target."""
        measured = self.measured
        names = ("agreement", "accuracy", "fp32_accuracy", "kl", "cpu_ms", "fp32_cpu_ms", "num_rows")
        return {
            "target": "gguf",
            "precision": self.facts["quantization"],
            "path": str(self.path),
            "folder": str(self.path.parent),
            "size_bytes": self.facts["size_bytes"],
            "runtime": f"llama.cpp in xllamacpp {version('xllamacpp')}",
            **{name: getattr(measured, name) for name in names},
            "top_1": self.parity.top_1,
            "top_5": self.parity.top_5,
            "largest_difference": self.parity.difference,
            "tensor_types": self.facts["tensor_types"],
            "notes": [
                "agreement and accuracy are of whole answers, beside those of the same student in f32; kl is of the "
                "next token, over the five best and all others together; cpu_ms is of one prompt and its next token",
            ],
            "device_table": device_table(measured),
        }


def export_writer(
    run_folder: Path,
    out: Path,
    *,
    quantization: Quantization | None = None,
    allow_slower: bool = False,
    progress: Progress | None = None,
) -> WriterExport:
    """Writes the student of a run for llama.cpp; nothing is written where a check fails.

    Args:
        run_folder: of a finished run whose student writes.
        out: folder that is written; an older export there is replaced, and only by one that passed.
        quantization: None takes that of the run's own bundle.
        allow_slower: write a rounded file although it is slower than the one in f32.
        progress: where it says how far it is.

    Raises:
        ConfigurationError: no such run, or a student that llama.cpp doesn't know.
        MissingExtraError: `gguf` or `xllamacpp` is not installed.
        IntegrityError: llama.cpp reads other tokens, or computes something else than the student.
        GateError: a rounded file loses too much, or is slower.
    """
    progress = progress or Silent()
    if not find_spec("xllamacpp"):
        raise MissingExtraError("xllamacpp", "llama")
    chosen, rows = quantization or _own_rounding(run_folder), read_rows(run_folder)
    bundle = open_bundle(run_folder / BUNDLE)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        saved = shutil.copytree(bundle.folder, root / "student", ignore=shutil.ignore_patterns(FILE, NAME))
        tokens = ChatTokens(load_tokenizer(saved))
        chats = [*(list(probe["messages"]) for probe in bundle.manifest.probes), *(messages for messages, _ in rows)]
        prompts = [tokens.text_of(messages) for messages in chats]
        progress.stage(f"convert to gguf, {chosen}")
        facts = export_gguf(saved, root / FILE, chosen)
        export_gguf(saved, root / "f32.gguf", "f32")
        progress.stage("compare in llama.cpp")
        parity = check_gguf(root / FILE, saved, prompts, chosen)
        measured = _measure(bundle, [root / FILE, root / "f32.gguf"], rows, [tokens.ids(text) for text in prompts])
        measured = replace(measured, kl=parity.kl, largest_difference=parity.difference)
        check_writer("gguf", chosen, parity, measured, plain="f32", allow_slower=allow_slower)
        found = WriterExport(path=out / FILE, facts=facts, parity=parity, measured=measured)
        replace_folder(out, {FILE: (root / FILE).read_bytes(), FACTS: canonical_json(found.to_json())})
    return found


Row = tuple[list[dict[str, str]], str]


def _own_rounding(run_folder: Path) -> Quantization:
    facts = json.loads((run_folder / RESULT).read_bytes()).get("gguf")
    rounding: Quantization = facts["quantization"] if facts else "q8_0"
    return rounding


def read_rows(run_folder: Path) -> list[Row]:
    """The last turns of the run's test rows, with the wanted answers."""
    found = load_written_content(run_folder / REPORT).assessment
    pairs = zip(found.prompts[:NUM_ANSWERS], found.wanted, strict=False)
    return [([{"role": "user", "content": prompt}], answer) for prompt, answer in pairs]


def _measure(bundle: GenerativeBundle, files: Sequence[Path], rows: Sequence[Row], ids: Sequence[list[int]]) -> Figures:
    """Whole answers and times of the file and of the same student in f32, one model in memory at a time."""
    said, times = [], []
    for path in files:
        llama = LlamaGenerator(path, context_length=bundle.manifest.context_length)
        limit = bundle.manifest.max_new_tokens
        said.append([llama.reply(messages, max_new_tokens=limit).text for messages, _ in rows])
        del llama
    for _ in range(NUM_ROUNDS):
        times.append([_cpu_ms(path, ids) for path in files])
    own_ms, plain_ms = (float(value) for value in np.median(times, axis=0))
    wanted = [answer for _, answer in rows]
    return Figures(
        agreement=float(matches(said[0], said[1]).mean()),
        accuracy=float(matches(said[0], wanted).mean()),
        fp32_accuracy=float(matches(said[1], wanted).mean()),
        cpu_ms=own_ms,
        fp32_cpu_ms=plain_ms,
        num_rows=len(rows),
    )


def _cpu_ms(path: Path, prompts: Sequence[list[int]]) -> float:
    """Median of one prompt and its next token; threads of llama.cpp are counted."""
    spent = []
    with LlamaCpp(path) as server:
        server.next_tokens(prompts[0])
        for i in range(NUM_TIMED):
            start = time.process_time()
            server.next_tokens(prompts[i % len(prompts)])
            spent.append((time.process_time() - start) * 1000)
    return float(np.median(spent))


def check_writer(
    target: str, rounding: str, parity: Parity, measured: Figures, *, plain: str, allow_slower: bool
) -> None:
    """The five most probable next tokens, whole answers and time decide.

    Raises:
        GateError: at least one limit is passed.
    """
    change = (measured.accuracy or 0.0) - (measured.fp32_accuracy or 0.0)
    missed = []
    if parity.top_5 < LEAST_TOP_5:
        missed.append(f"of the five most probable next tokens {parity.top_5:.2f} are the student's, not {LEAST_TOP_5}")
    if change < -LARGEST_ACCURACY_LOSS:
        missed.append(f"its exact match changes by {change:.4f}, at most {-LARGEST_ACCURACY_LOSS} is allowed")
    what, remedy = f"{target} in {rounding}", "--rounding q8_0 or f16" if target == "gguf" else f"--precision {plain}"
    refuse_loss(what, measured, missed, remedy)
    if rounding != plain and not allow_slower:
        refuse_slower(what, plain, measured, f"--{'rounding' if target == 'gguf' else 'precision'} {plain}")
