"""The shipped bundle as a page: checked in Node where Node is, and by the page itself wherever it opens."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import ConfigurationError, IntegrityError
from potstill.evaluation.assess import agreement, mean_kl
from potstill.evaluation.metrics import accuracy, answers
from potstill.exporters.bundle import probe_value
from potstill.exporters.ort_web import VERSION, ort_web_files
from potstill.exporters.web import LIBRARY, case_folds, script_files, single_page, web_files
from potstill.files import write_atomic
from potstill.recipe.exporting import Measured, check, device_table, held_out
from potstill.recipe.run import BUNDLE, REPORT, RESULT
from potstill.report.page import TRY
from potstill.runtime import load

NUM_CHECKED = 200
NODE_TIMEOUT_S = 300
NOT_RUN = "not run here: there is no node; the page checks itself on the bundle's probe inputs when it opens"


def export_web(run_folder: Path, out: Path, *, ort_web: Path | None = None, language: str = "en") -> dict[str, Any]:
    """Writes a folder that a static server can serve; what a device downloads is all in it.

    Raises:
        ConfigurationError: no finished run, no onnxruntime-web, or a tokenizer that JavaScript doesn't know.
        GateError: Node's answers are not those of the fp32 student.
    """
    bundle, runtime = _bundle(run_folder), ort_web_files(ort_web)
    files = web_files(bundle, runtime, title=run_folder.resolve().name, language=language)
    measured = check_in_node(run_folder, runtime)
    precision = json.loads(bundle["manifest.json"])["model"]["precision"]
    # The bundle was chosen by its measured size and speed; nothing is left to refuse for being slow.
    check("web", precision, measured, allow_slower=True)
    beside = out.with_name(f".{out.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    for name, content in files.items():
        write_atomic(beside / name, content)
    shutil.rmtree(out, ignore_errors=True)
    beside.rename(out)
    is_run = measured.agreement is not None
    return {
        "target": "web",
        "precision": precision,
        "path": str(out / "index.html"),
        "folder": str(out),
        "size_bytes": sum(map(len, files.values())),
        "bundle_bytes": sum(map(len, bundle.values())),
        "runtime": f"onnxruntime-web {VERSION if ort_web is None else 'of ' + str(ort_web)}",
        **{name: getattr(measured, name) for name in Measured.__dataclass_fields__},
        "notes": [] if is_run else [NOT_RUN],
        "device_table": [{**row, "source": f"{row['source']}, in Node"} for row in device_table(measured)],
    }


def write_try(run_folder: Path, *, ort_web: Path | None = None, language: str = "en") -> Path:
    """Writes `try.html` beside the report: one file of some 20 MB that opens by a double click.

    Raises:
        ConfigurationError: as `export_web`.
    """
    page = single_page(_bundle(run_folder), ort_web_files(ort_web), title=run_folder.resolve().name, language=language)
    target = run_folder / REPORT / TRY
    write_atomic(target, page)
    return target


def check_in_node(run_folder: Path, runtime: Mapping[str, bytes]) -> Measured:
    """The shipped bundle and the fp32 one through the page's own JavaScript, on held-out rows.

    Raises:
        IntegrityError: Node failed.
    """
    node = shutil.which("node")
    if node is None:
        return Measured()
    rows = held_out(run_folder)
    inputs = list(rows.inputs[:NUM_CHECKED])
    fp32 = run_folder / "contenders" / "student" / "fp32"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, content in {**script_files((*LIBRARY, "check.mjs")), **runtime}.items():
            (place / name).write_bytes(content)
        values = {"inputs": [probe_value(value) for value in inputs], "folds": case_folds()}
        (place / "inputs.json").write_text(json.dumps(values), "utf-8")
        command = [node, "check.mjs", folder, "inputs.json", str((run_folder / BUNDLE).resolve()), str(fp32.resolve())]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=NODE_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise IntegrityError(f"Node can't run the page's scripts: {done.stderr.strip()[-500:]}")
    shipped, plain = json.loads(done.stdout)
    said = np.array(shipped["logits"], np.float32)
    model = load(fp32)
    expected, schema = model.logits(inputs), model.schema
    labels = rows.labels[: len(inputs)]
    return Measured(
        agreement=agreement(answers(said, schema), answers(expected, schema)),
        accuracy=accuracy(said, labels, schema),
        fp32_accuracy=accuracy(expected, labels, schema),
        kl=mean_kl(expected, said, schema),
        largest_difference=float(np.abs(said - expected).max()),
        cpu_ms=round(float(np.median(shipped["milliseconds"])), 4),
        fp32_cpu_ms=round(float(np.median(plain["milliseconds"])), 4),
        num_rows=len(inputs),
    )


def _bundle(run_folder: Path) -> dict[str, bytes]:
    folder = run_folder / BUNDLE
    if not (run_folder / RESULT).exists() or not folder.is_dir():
        raise ConfigurationError(
            f"{run_folder} is not a finished run. Run `potstill distill ... --out {run_folder}` first."
        )
    # What is damaged is not passed on.
    load(folder).self_test()
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
