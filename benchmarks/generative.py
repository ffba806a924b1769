"""A tuned 135M teacher, and students cut from it that write the answer, on a task of `writing_tasks.py`.

    OMP_NUM_THREADS=1 python -m benchmarks.generative --task banking [--seeds 3] [--out runs/generative]

550 labelled rows (500 teach, 50 are dev), 1,000 prompts that only the teacher answers, all test rows of the task; one
run a seed with the options of the command line; the control is the same student on the 500 labels alone. One signal is
tried: 50 dev rows can't tell two apart. CPU-seconds are those of this process; `road` counts what a user without a
control would pay for: loading, tuning, asking and the student. A run that was cut off goes on, and its seconds before
that are not counted.

`open` says what a classifier could do at most: the share of test rows whose answer is one of the labelled rows', or one
of all rows', the pool's among them, whose answers nobody but the benchmark knows. `cheap_exact_match` is what a task's
cheap road reaches with the answers of either.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cheap_calculation import cheap_exact_match
from benchmarks.record import record
from benchmarks.tables import DATA
from benchmarks.writing_tasks import NUM_DEV, NUM_GOLD, TASKS, Task
from potstill.cli.progress import TerminalProgress
from potstill.evaluation.generation import matches
from potstill.evaluation.significance import paired_interval
from potstill.files import write_atomic
from potstill.recipe.generative.load import build_generative
from potstill.recipe.generative.run import run_generative
from potstill.report.generative import load_written_content

TUNED_LAYERS = 10
LINE = "line.json"
CHEAP = {"calculation": cheap_exact_match}

Parts = Mapping[str, Sequence[tuple[str, str]]]


class Clock(TerminalProgress):
    """Notes what every stage took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "data", time.process_time()

    def stage(self, name: str, total: int | None = None) -> None:
        """Ends the one before."""
        self.end()
        self._stage = name
        super().stage(name, total)

    def end(self) -> None:
        """Counts up to now."""
        now = time.process_time()
        self.seconds[self._stage] = round(self.seconds.get(self._stage, 0.0) + now - self._since, 1)
        self._since = now

    def road(self) -> float:
        """Seconds from the rows to the student."""
        kept = ("data", "teacher", "capture", "student")
        return round(sum(s for name, s in self.seconds.items() if name.startswith(kept)), 1)


def write_rows(parts: Parts, out: Path) -> dict[str, str]:
    """Train, pool and test as JSONL."""
    listed = {
        "train": [{"prompt": text, "answer": answer} for text, answer in parts["train"]],
        "unlabelled": [{"prompt": text} for text, _ in parts["pool"]],
        "test": [{"prompt": text, "answer": answer} for text, answer in parts["test"]],
    }
    paths = {}
    for name, rows in listed.items():
        paths[name] = str(out / f"{name}.jsonl")
        write_atomic(Path(paths[name]), "".join(json.dumps(row) + "\n" for row in rows).encode())
    return paths


def open_shares(parts: Parts) -> dict[str, float]:
    """Shares of test rows whose answer is a labelled row's, and any row's."""
    wanted = [answer for _, answer in parts["test"]]
    labelled = {answer for _, answer in parts["train"]}
    known = {"labelled": labelled, "all": labelled | {answer for _, answer in parts["pool"]}}
    return {name: sum(answer in seen for answer in wanted) / len(wanted) for name, seen in known.items()}


def one(task: Task, args: argparse.Namespace, out: Path, seed: int) -> dict[str, Any]:
    """Everything of one seed; one that is done is not run again, and keeps the seconds that it took."""
    parts = task.parts(args.data or DATA / task.source, seed)
    values = {
        "data": {
            **write_rows(parts, out / "rows"),
            "leakage": task.leakage,
            "dev_share": NUM_DEV / (NUM_GOLD + NUM_DEV),
        },
        "student": {"layers": args.layers},
        "teacher": {"max_new_tokens": task.max_new_tokens, "tuned_layers": args.tuned_layers},
        "training": {"signal": "top_k"},
        "seed": seed,
    }
    recipe = build_generative(values, args.overrides)
    done_before = json.loads((out / LINE).read_bytes()) if (out / LINE).exists() else {}
    if done_before.get("recipe_digest") == recipe.digest():
        return done_before
    clock = Clock()
    done = run_generative(recipe, out / "run", progress=clock, store=out / "store")
    clock.end()
    seconds = {"cpu_seconds": round(sum(clock.seconds.values()), 1), "road_cpu_seconds": clock.road()}
    kept = {name: value for name, value in done.result.items() if name not in ("run_dir", "report", "bundle")}
    line = {**kept, **seconds, "open": open_shares(parts), "stage_cpu_seconds": clock.seconds, "seed": seed}
    if args.task in CHEAP:
        known = {"labelled": parts["train"], "all": [*parts["train"], *parts["pool"]]}
        line["cheap_exact_match"] = {
            name: CHEAP[args.task](rows, parts["test"], out / "cheap" / name, seed) for name, rows in known.items()
        }
    write_atomic(out / LINE, json.dumps(line).encode())
    return line


def tell(line: dict[str, Any]) -> None:
    """The figures of a seed, in few lines."""
    names = ("seed", "cpu_seconds", "road_cpu_seconds", "open", "cheap_exact_match", "verdict", "difference")
    print(json.dumps({name: line[name] for name in (*names, "difference_ci") if name in line}))
    for name in ("teacher", "student", "control", "baseline"):
        if name in line:
            keys = ("exact_match", "accuracy_ci", "perplexity", "kl", "tokens_per_s", "size_bytes", "num_parameters")
            print(name, json.dumps({key: line[name][key] for key in keys}), flush=True)


def over_all(runs: Sequence[Path]) -> dict[str, Any]:
    """The student's difference from its control over all seeds: they have the same test rows, so rows are drawn."""
    per_seed = []
    for run in runs:
        read = load_written_content(run / "report").assessment
        right = {name: matches(read.texts[name], read.wanted).astype(float) for name in ("student", "control")}
        per_seed.append(right["student"] - right["control"])
    difference_N = np.mean(per_seed, axis=0)
    return {"difference": float(difference_N.mean()), "difference_ci": list(paired_interval(difference_N, seed=0))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, default="banking")
    parser.add_argument("--data", type=Path, help="folder of the task's data set; usually in POTSTILL_DATA")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("POTSTILL_BENCHMARKS", "runs/generative")))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--tuned-layers", type=int, default=TUNED_LAYERS, help="of the teacher; 0 tunes all")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    task = TASKS[args.task]
    result = task.result + (f"_tuned_{args.tuned_layers}" if args.tuned_layers != TUNED_LAYERS else "")
    folders = [args.out / result / f"seed-{seed}" for seed in range(args.seeds)]
    found = []
    for seed, folder in enumerate(folders):
        found.append(one(task, args, folder, seed))
        tell(found[-1])
    mean = {n: sum(r[n]["exact_match"] for r in found) / len(found) for n in ("teacher", "student", "control")}
    share = mean["student"] / mean["teacher"]
    together = {"mean_exact_match": mean, "share_of_teacher": share, **over_all([f / "run" for f in folders])}
    record(result, found, over_all_seeds=together)
    print(json.dumps(together))


if __name__ == "__main__":
    main()
