"""The whole walk with OpenAI's SDK on 500 real rows against `potstill serve`: who is right how often, and seconds.

python -m benchmarks.server_walk
"""

import tempfile
from pathlib import Path

from tests.server.walking import real_rows, walk

from benchmarks.record import record
from benchmarks.tables import DATA


def main():
    rows = real_rows(DATA, per_class=35, num_classes=20)
    with tempfile.TemporaryDirectory() as folder:
        right, seconds = walk(Path(folder), rows[:500], rows[500:], "potstill-auto", {})
    run = {"num_rows": 500, "num_held_out": len(rows) - 500, "right": right, "seconds": seconds}
    print(run, flush=True)
    record("server_walk", [run])


if __name__ == "__main__":
    main()
