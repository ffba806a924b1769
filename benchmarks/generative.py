"""CLINC150's banking domain as text: a tuned 135M teacher, and students cut from it that write the answer.

    OMP_NUM_THREADS=1 python -m benchmarks.generative --data DATA/clinc150 [--seeds 3] [--out runs/generative]

550 labelled requests (500 teach, 50 are dev), 1,000 requests that only the teacher answers, 450 test requests; all from
the data set's own splits. One run a seed with the options of the command line; the control is the same student on the
500 labels alone. Tuning changes the teacher's ten upper layers, and one signal is tried: 50 dev rows can't tell
two apart. CPU-seconds are those of this process; `road` counts what a user without a control would pay for: loading,
tuning, asking and the student. A run that was cut off goes on, and its seconds before that are not counted.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

from benchmarks.record import record
from potstill.cli.progress import TerminalProgress
from potstill.files import write_atomic
from potstill.recipe.generative.load import build_generative
from potstill.recipe.generative.run import run_generative

NUM_GOLD, NUM_DEV, NUM_POOL = 500, 50, 1000


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


def write_rows(source: Path, out: Path, seed: int) -> dict[str, str]:
    """Train, pool and test as JSONL; which rows are labelled depends on the seed, and is spread evenly over intents."""
    splits = json.loads((source / "data_full.json").read_bytes())
    intents = set(json.loads((source / "domains.json").read_bytes())["banking"])
    rows = {name: [row for row in splits[name] if row[1] in intents] for name in ("train", "val", "test")}
    order = random.Random(seed)
    order.shuffle(rows["train"])
    order.shuffle(rows["val"])
    by_intent: dict[str, int] = {}
    ranked = []
    for text, intent in rows["train"]:
        by_intent[intent] = by_intent.get(intent, 0) + 1
        ranked.append((by_intent[intent], text, intent))
    ranked.sort(key=lambda row: row[0])
    gold, pool = ranked[:NUM_GOLD], ranked[NUM_GOLD : NUM_GOLD + NUM_POOL]
    labelled = [(text, intent) for _, text, intent in gold] + [tuple(row) for row in rows["val"][:NUM_DEV]]
    parts = {
        "train": [{"prompt": text, "answer": intent.replace("_", " ")} for text, intent in labelled],
        "unlabelled": [{"prompt": text} for _, text, _ in pool],
        "test": [{"prompt": text, "answer": intent.replace("_", " ")} for text, intent in rows["test"]],
    }
    paths = {}
    for name, listed in parts.items():
        paths[name] = str(out / f"{name}.jsonl")
        write_atomic(Path(paths[name]), "".join(json.dumps(row) + "\n" for row in listed).encode())
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/clinc150"))
    parser.add_argument("--out", type=Path, default=Path("runs/generative"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    found = []
    for seed in range(args.seeds):
        folder = args.out / f"seed-{seed}"
        paths = write_rows(args.data, folder / "rows", seed)
        values = {
            # The data set's own splits are kept whole: near duplicates across them are part of the published task.
            "data": {**paths, "leakage": "keep", "dev_share": NUM_DEV / (NUM_GOLD + NUM_DEV)},
            "student": {"layers": args.layers},
            "teacher": {"max_new_tokens": 12, "tuned_layers": 10},
            "training": {"signal": "top_k"},
            "seed": seed,
        }
        recipe = build_generative(values, args.overrides)
        clock = Clock()
        done = run_generative(recipe, folder / "run", progress=clock, store=folder / "store")
        clock.end()
        seconds = {"cpu_seconds": round(sum(clock.seconds.values()), 1), "road_cpu_seconds": clock.road()}
        kept = {name: value for name, value in done.result.items() if name not in ("run_dir", "report", "bundle")}
        line = {**kept, **seconds, "stage_cpu_seconds": clock.seconds, "seed": seed}
        found.append(line)
        print(json.dumps({k: line[k] for k in ("seed", *seconds, "signal", "verdict", "difference", "difference_ci")}))
        for name in ("teacher", "student", "control", "baseline"):
            if name in line:
                keys = ("exact_match", "perplexity", "kl", "tokens_per_s", "size_bytes", "num_parameters")
                print(name, json.dumps({key: line[name][key] for key in keys}))
    record("generative", found)
    mean = {n: sum(r[n]["exact_match"] for r in found) / len(found) for n in ("teacher", "student", "control")}
    print(json.dumps({"mean_exact_match": mean, "share_of_teacher": mean["student"] / mean["teacher"]}))


if __name__ == "__main__":
    main()
