"""The demonstration with several draws of its 50 labels."""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.record import record, summary
from potstill.demo import demo


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    runs = []
    for seed in parser.parse_args().seeds:
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            done = demo(Path(folder) / "demo", seed=seed)
        runs.append({"seed": seed, **summary(done.result, time.process_time() - started)})
        print(
            seed,
            {name: runs[-1][name]["accuracy"] for name in ("teacher", "student", "control", "reference")},
            flush=True,
        )
    record("digits", runs)


if __name__ == "__main__":
    main()
