"""A million rows: time and peak memory of reading, checking and splitting them."""

import random
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.record import record
from potstill.data import DataOptions, load_data

WORDS = [f"word{i}" for i in range(5000)]


def main(num_rows=1_000_000):
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        with path.open("w", encoding="utf-8") as file:
            file.write("text,label\n")
            for i in range(num_rows):
                file.write(f"{' '.join(chance.choices(WORDS, k=9))} {i},class{i % 50}\n")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        started = time.process_time()
        data = load_data(DataOptions(train=str(path), text="text", label=("label",), test_share=0.01))
        seconds = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {
        "num_rows": num_rows,
        "cpu_seconds": round(seconds, 1),
        "peak_memory_bytes": peak,
        "before_bytes": before,
        "num_train": len(data.train),
        "num_test": len(data.test),
    }
    print(found)
    record("million", [found])


if __name__ == "__main__":
    main()
