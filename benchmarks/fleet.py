"""What a fleet costs: updates and polls on loopback, ten thousand polls from one core, deltas of retrained students.

Times are CPU-seconds of this process as well as wall seconds, because other work on the machine makes wall times long.
"""

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tests.runtime.bundles import TOKENIZER, manifest, network

from benchmarks import tables
from benchmarks.record import record
from potstill import DataOptions, Recipe
from potstill.fleet.device.metadata import refresh
from potstill.fleet.device.place import enroll
from potstill.fleet.device.update import update
from potstill.fleet.publisher import create_fleet, publish
from potstill.fleet.publisher.deltas import make_deltas
from potstill.recipe import Controls
from potstill.recipe.recipe import Export
from potstill.recipe.run import run
from potstill.runtime.bundle import write_bundle
from potstill.students import Cnn
from potstill.students.parent import read_parent
from potstill.teachers import Recorded
from potstill.testing.simulate_fleet import simulate_fleet
from potstill.training import Training

MODEL = "m"


@contextmanager
def served(folder):
    """The plain static server of Python's standard library, in a process of its own on one core."""
    code = (
        "import http.server, functools, sys\n"
        "class Quiet(http.server.SimpleHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    disable_nagle_algorithm = True\n"
        "    def log_message(self, *args): pass\n"
        "server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=sys.argv[1]))\n"
        "print(server.server_address[1], flush=True)\n"
        "server.serve_forever()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {sorted(os.sched_getaffinity(0))[0]})
    try:
        yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def cpu_seconds(pid):
    """User and system time of another process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def large_bundle(folder, seed):
    """Two megabytes that no compression makes smaller; a file of another name each time, so no delta is tried."""
    filling = np.random.default_rng(seed).bytes(2_000_000)
    write_bundle(
        folder,
        manifest(),
        {"model.onnx": network(), "tokenizer.json": TOKENIZER.encode(), f"filling-{seed}.bin": filling},
    )
    return folder


def timed(act):
    wall, cpu = time.perf_counter(), time.process_time()
    act()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def summary(times):
    wall, cpu = zip(*times, strict=True)
    return {
        "count": len(times),
        "wall_ms_median": statistics.median(wall),
        "wall_ms_least": min(wall),
        "cpu_ms_median": statistics.median(cpu),
    }


def updates(args):
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fleet = create_fleet(root / "fleet")
        publish(fleet, large_bundle(root / "b0", 0), model=MODEL)
        trusted = (fleet.metadata / "1.root.json").read_bytes()
        first, polls, later, published = [], [], [], []
        with served(fleet.repository) as (_, url):
            devices = [enroll(root / f"d{i}", source=url, root=trusted, model=MODEL) for i in range(args.repeats + 1)]
            # The first of all pays for the imports.
            update(devices[0])
            first = [timed(lambda d=device: update(d)) for device in devices[1:]]
            polls = [timed(lambda: update(devices[0])) for _ in range(args.repeats * 3)]
            for i in range(args.repeats):
                bundle = large_bundle(root / f"b{i + 1}", i + 1)
                published.append(timed(lambda b=bundle: publish(fleet, b, model=MODEL, rings=(1.0,))))
                later.append(timed(lambda: update(devices[0])))
    runs = [
        {"what": "first update of 2 MB", **summary(first)},
        {"what": "poll, nothing new", **summary(polls)},
        {"what": "update of 2 MB to a new release", **summary(later)},
        {"what": "publish 2 MB", **summary(published)},
    ]
    record("fleet_updates", runs)


def polls(args):
    """Every device asks for the next root (none) and for the timestamp, over a connection of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fleet = create_fleet(root / "fleet")
        publish(fleet, large_bundle(root / "b", 0), model=MODEL)
        device = enroll(
            root / "d", source="http://127.0.0.1", root=(fleet.metadata / "1.root.json").read_bytes(), model=MODEL
        )
        with served(fleet.repository) as (process, url):
            host, port = url.removeprefix("http://").split(":")
            before, wall = cpu_seconds(process.pid), time.perf_counter()
            for _ in range(args.devices):
                connection = http.client.HTTPConnection(host, int(port))
                for name, status in (("2.root.json", 404), ("timestamp.json", 200)):
                    connection.request("GET", f"/metadata/{name}")
                    answer = connection.getresponse()
                    assert answer.status == status and answer.read(), name
                connection.close()
            wall = time.perf_counter() - wall
            spent = cpu_seconds(process.pid) - before
            # The same two requests by the real client, checked as it checks them.
            from dataclasses import replace

            real = replace(device, source=url)
            refresh(real)
            client = summary([timed(lambda: refresh(real)) for _ in range(50)])
    runs = [
        {
            "devices": args.devices,
            "server_cpu_seconds": spent,
            "server_cpu_ms_a_poll": spent / args.devices * 1000,
            "polls_a_second_of_one_core": args.devices / spent,
            "wall_seconds_one_client_at_a_time": wall,
            "client": client,
        }
    ]
    record("fleet_polls", runs)


def files(bundle):
    return {path.name: path.read_bytes() for path in Path(bundle).iterdir()}


def moved_share(before, after):
    """Of the int8 weights: how many are other ones."""
    old, new = read_parent(before), read_parent(after)
    pairs = [
        (np.rint(old.weights[name] / step), np.rint(new.weights[name] / new.steps[name]))
        for name, step in old.steps.items()
    ]
    return sum(int((a != b).sum()) for a, b in pairs) / sum(a.size for a, _ in pairs)


def deltas(args):
    """BANKING77: a student of some rows is deployed, a child of it learns from these and half as many more."""
    rows = tables.banking()
    train, test = rows["train"], rows["test"]
    order = np.random.default_rng(0).permutation(len(train["text"]))

    def some(count):
        found = {name: [values[i] for i in order[:count]] for name, values in train.items()}
        return {**found, "said": found["label"]}

    options = {
        "data": DataOptions(text="text", label=("label",)),
        "teacher": Recorded(label_column="said"),
        "student": Cnn(width=96, narrow_filters=128, wide_filters=96),
        "controls": Controls(baseline=False),
        "export": Export(precision="int8_weights"),
    }
    test = {**test, "said": test["label"]}
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)

        def distil(name, count, training, **more):
            recipe = Recipe(**{**options, **more}, training=training)
            given = {"train": some(count), "test": test}
            return run(recipe, root / name, tables=given, store=root / "store")

        first = distil("parent", args.rows, Training(num_epochs=args.epochs, num_trials=1, refit="no"))
        was = first.result["student"]["accuracy"]
        print("deployed", was, flush=True)
        child = {"parent": str(first.folder)}
        whole = {**child, "export": Export(precision="int8_weights", delta_share=1.0)}

        def light(num_epochs, **rate):
            return Training(num_epochs=num_epochs, num_trials=1, refit="no", **rate)

        cases = [
            ("2 epochs", child, light(2)),
            ("2 epochs, nothing cut", whole, light(2)),
            ("2 epochs, rate 5e-4", child, light(2, learning_rate=5e-4)),
            ("6 epochs", child, light(6)),
            ("6 epochs, nothing cut", whole, light(6)),
            ("anew, no parent", {}, light(args.epochs)),
        ]
        for i, (name, more, training) in enumerate(cases):
            made_by = distil(f"child-{i}", args.rows * 3 // 2, training, **more)
            made = {d.file: d for d in make_deltas([files(first.bundle)], files(made_by.bundle))}
            delta = made.get("model.onnx")
            runs.append(
                {
                    "case": name,
                    "deployed_accuracy": was,
                    "accuracy": made_by.result["student"]["accuracy"],
                    "model_bytes": len(files(made_by.bundle)["model.onnx"]),
                    "delta": delta.to_json() if delta else None,
                    "weights_moved": moved_share(first.bundle, made_by.bundle) if more else None,
                }
            )
            print(runs[-1], flush=True)
            record("fleet_deltas", runs)


def simulate(args):
    runs = []
    for failing in (0.01, 0.4):
        started = time.process_time()
        done = simulate_fleet(num_devices=args.devices, failing=failing, online=0.3, seed=0)
        runs.append(
            {
                "devices": args.devices,
                "failing": failing,
                "state": done.rollout.state,
                "stable": done.rollout.stable,
                "rounds": len(done.rounds),
                "most_on_candidate": max(r.num_on_candidate for r in done.rounds),
                "cpu_seconds": time.process_time() - started,
            }
        )
    record("fleet_simulation", runs)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["updates", "polls", "deltas", "simulate"])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=3000)
    args = parser.parse_args()
    {"updates": updates, "polls": polls, "deltas": deltas, "simulate": simulate}[args.what](args)


if __name__ == "__main__":
    main()
