"""Peak memory of a bundle, in a process of its own: what a device would see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from potstill.errors import PotstillError

# Linux keeps the parent's peak in ru_maxrss across an exec, so its own peak is read from /proc where there is one.
_PROGRAM = """
import json, pathlib, resource, sys
from potstill.runtime import load
load(sys.argv[1]).self_test()
status = pathlib.Path("/proc/self/status")
if status.exists():
    peak = next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
else:
    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
print(json.dumps(peak))
"""


def peak_memory_bytes(bundle: Path, *, timeout_s: float = 120) -> int:
    """Highest resident memory of a fresh Python that loads the bundle and predicts its probe inputs.

    Raises:
        PotstillError: that process failed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(bundle)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        raise PotstillError(f"a fresh process could not predict with {bundle}: {done.stderr.strip()[-500:]}")
    return int(json.loads(done.stdout))
