"""Writes what a benchmark found, with the command and the machine."""

import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path

from potstill.recipe.environment import environment

RESULTS = Path(__file__).parent / "results"
KEPT = (
    "accuracy",
    "accuracy_ci",
    "balanced_accuracy",
    "macro_f1",
    "nll",
    "ece",
    "size_bytes",
    "num_parameters",
    "latency_ms",
    "out_of_scope",
)


def record(name, runs, **more):
    RESULTS.mkdir(exist_ok=True)
    found = {
        "command": shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "environment": {**environment("cpu", "auto"), "processor": platform.processor(), "cores": os.cpu_count()},
        "runs": runs,
        **more,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(path, flush=True)


def summary(result, cpu_seconds):
    """What is kept of a run."""
    found = {"cpu_seconds": round(cpu_seconds, 1)}
    for name, value in result.items():
        if isinstance(value, dict) and "accuracy" in value:
            found[name] = {key: value[key] for key in KEPT} | {"title": value["title"]}
    names = ("verdict", "difference", "difference_ci", "p_value", "gap_closed", "gap_closed_ci", "gain_parts")
    names += ("precision", "seeds", "teacher_calls", "against", "refit")
    return found | {name: result[name] for name in names}
