"""Run by an environment that holds the wheel and its base dependencies alone: it must predict, and be light."""

import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path

IMPORT = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"
PREDICT = """
import sys
from pathlib import Path
from potstill.runtime import load
model = load(sys.argv[1])
model.self_test()
from potstill.runtime.model import _probe_input
print(model.predict([_probe_input(model.manifest.probes[0]["input"])])[0].label)
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024)
"""


def run(program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


for package in ("torch", "pydantic", "onnx", "sklearn"):
    assert importlib.util.find_spec(package) is None, f"{package} is installed; this environment is not bare"
seconds, numpy_seconds = (
    statistics.median(float(run(IMPORT.format(name))) for _ in range(5)) for name in ("potstill.runtime", "numpy")
)
# Most of it is numpy's own import, which takes three times as long on some processors as on others.
limit = max(0.25, 1.8 * numpy_seconds)
label, memory = run(PREDICT, sys.argv[1]).splitlines()
print(
    f"bare installation: predicts {label!r}, import {seconds:.3f} CPU-s (numpy {numpy_seconds:.3f}), "
    f"peak memory {int(memory) / 1e6:.1f} MB"
)
assert seconds < limit, f"import potstill.runtime took {seconds:.3f} CPU-s; {limit:.3f} is the limit"
assert int(memory) < 90_000_000, f"peak memory is {memory} bytes; 90 MB is the limit"
assert json.loads((Path(sys.argv[1]) / "manifest.json").read_text())["format"] == "potstill-bundle"
