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
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
from tests.runtime.bundles import TOKENIZER, manifest, network

from benchmarks import pictures, tables
from benchmarks.record import record
from potstill import DataOptions, Recipe
from potstill.fleet.device.metadata import refresh
from potstill.fleet.device.place import enroll
from potstill.fleet.device.update import update
from potstill.fleet.publisher import create_fleet, publish
from potstill.fleet.publisher.deltas import make_deltas
from potstill.recipe import Controls, contest
from potstill.recipe.recipe import Export
from potstill.recipe.run import run
from potstill.report.storage import load_content
from potstill.runtime.bundle import write_bundle
from potstill.students import Cnn, DsCnn, ResNet
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
    """A student of some rows is deployed, a child of it learns from these and half as many more."""
    runs = []
    for draw in args.draws:
        with tempfile.TemporaryDirectory() as scratch:
            for found in deltas_of(Path(scratch), draw, args):
                runs.append({"draw": draw, **found})
                print(runs[-1], flush=True)
                record("fleet_deltas" if args.student == "cnn" else f"fleet_deltas_{args.student}", runs)


def job_of(student):
    """Training and test rows of the benchmark's job for a student, what it reads, and the student."""
    if student == "cnn":
        rows = tables.banking()
        return rows["train"], rows["test"], {"text": "text"}, Cnn(width=96, narrow_filters=128, wide_filters=96)
    made = {"resnet": ResNet(depth=8, width=8), "ds_cnn": DsCnn(width=48, num_blocks=4)}[student]
    train, test = (pictures.columns(pictures.read(part)) for part in ("train", "test"))
    return train, {name: values[:2000] for name, values in test.items()}, {"image": "image"}, made


def deltas_of(root, draw, args):
    """The cases of one draw of rows."""
    train, test, column, student = job_of(args.student)
    order = np.random.default_rng(draw).permutation(len(train["label"]))
    options = {
        "data": DataOptions(**column, label=("label",)),
        "teacher": Recorded(label_column="said"),
        "student": student,
        "controls": Controls(baseline=False),
        "export": Export(precision="int8_weights"),
        "seed": draw,
    }

    def distil(name, count, training, **more):
        recipe = Recipe(**{**options, **more}, training=training)
        taken = {column: [values[i] for i in order[:count]] for column, values in train.items()}
        given = {"train": {**taken, "said": taken["label"]}, "test": {**test, "said": test["label"]}}
        return run(recipe, root / name, tables=given, store=root / "store")

    def light(num_epochs, **rate):
        return Training(num_epochs=num_epochs, num_trials=1, refit="no", **rate)

    first = distil("parent", args.rows, light(args.epochs))
    was = first.result["student"]["accuracy"]
    child = {"parent": str(first.folder)}
    whole = {**child, "export": Export(precision="int8_weights", delta_share=1.0)}
    # Case, whether what moved most is trained again, parent, training.
    cases = [
        ("2 epochs, once", False, child, light(2)),
        ("2 epochs", True, child, light(2)),
        ("6 epochs, once", False, child, light(6)),
        ("6 epochs", True, child, light(6)),
        ("6 epochs, nothing cut", False, whole, light(6)),
        ("20 epochs", True, child, light(20)),
        ("anew, no parent", False, {}, light(args.epochs)),
    ]
    if args.student == "cnn":
        cases.append(("6 epochs, rate of a student anew, once", False, child, light(6, learning_rate=2e-3)))
    for i, (name, again, more, training) in enumerate(cases):
        with nullcontext() if again else patch.object(contest, "is_worth_sparse", return_value=False):
            made_by = distil(f"child-{i}", args.rows * 3 // 2, training, **more)
        made = {d.file: d for d in make_deltas([files(first.bundle)], files(made_by.bundle))}
        delta = made.get("model.onnx")
        yield {
            "case": name,
            "deployed_accuracy": was,
            "accuracy": made_by.result["student"]["accuracy"],
            "trials": load_content(made_by.report.parent).trials["student"],
            "model_bytes": len(files(made_by.bundle)["model.onnx"]),
            "delta": delta.to_json() if delta else None,
            "weights_moved": moved_share(first.bundle, made_by.bundle) if more else None,
        }


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
    parser.add_argument("--student", choices=["cnn", "resnet", "ds_cnn"], default="cnn")
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    args = parser.parse_args()
    {"updates": updates, "polls": polls, "deltas": deltas, "simulate": simulate}[args.what](args)


if __name__ == "__main__":
    main()
