"""The server under load, its load client on the same cores: import, ingest, lists, proxy, student, memory, cold start.

python -m benchmarks.server [--rows 1000000] [--seconds 10] [--repeats 3] [--litellm PYTHON]
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from tests.runtime.bundles import make_bundle
from tests.server.teacher import answer

from benchmarks.record import record
from benchmarks.server_litellm import Litellm
from potstill.server.compiling import AnswerField, AnswerForm, PromptForm, Task
from potstill.server.database import open_database
from potstill.server.models import add_model
from potstill.types import Field, LabelSchema

STUDENT = "ft:bench:default:one:00000000"
CHAT = "/v1/chat/completions"
BODY_4KB = {
    "model": "big",
    "messages": [{"role": "system", "content": "Say what it is. " * 235}, {"role": "user", "content": "red"}],
    "store": True,
    "metadata": {"a": "b", "c": "d"},
}
LINES_AT_ONCE = 5000


class Serving:
    """The server as a user starts it, or with a teacher that costs nothing."""

    def __init__(self, data, *, teacher_port=9, instant=False):
        if instant:
            command = [sys.executable, "-m", "benchmarks.server_instant", str(data)]
        else:
            command = [sys.executable, "-m", "potstill.cli", "serve", "--data", str(data), "--port", "0", "--json"]
            command += ["--teacher", f"big=http://127.0.0.1:{teacher_port}/v1"]
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = json.loads(self.process.stdout.readline())
        self.start_s = time.perf_counter() - started
        self.port, self.key = int(found["base_url"].split(":")[2].split("/")[0]), found["api_key"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def memory_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, *parts):
        """Figures of each part, with what a request cost the server and the client."""
        before, load = self.cpu_s(), os.getloadavg()[0]
        found = run_load(self.port, self.key, parts)
        total = sum(part["num"] for part in found["parts"])
        costs = {
            "server_cpu_ms_each": round((self.cpu_s() - before) / total * 1e3, 3),
            "client_cpu_ms_each": round(found["cpu_s"] / total * 1e3, 3),
            "load_average_before": round(load, 1),
        }
        return [{**part, **costs} for part in found["parts"]]

    def send(self, path, content=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=content)
        request.add_header("authorization", f"Bearer {self.key}")
        with urllib.request.urlopen(request) as response:
            return json.loads(response.read())


def run_load(port, key, parts):
    job = json.dumps({"port": port, "key": key, "parts": parts})
    command = [sys.executable, "-m", "benchmarks.server_load"]
    done = subprocess.run(command, input=job, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def teaching():
    """A teacher over HTTP in a thread of its own: the port."""
    content = json.dumps(answer("red")).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()

    async def talk(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            while asked := await reader.readuntil(b"\r\n\r\n"):
                length = asked.lower().partition(b"content-length:")[2].split(maxsplit=1)
                await reader.readexactly(int(length[0]) if length else 0)
                writer.write(head + content)
        writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(talk, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)


def repeated(measure, repeats):
    """The best run with its load, and the median of all."""
    runs = [measure() for _ in range(repeats)]
    best = min(runs, key=lambda run: run["p99_ms"])
    return {"best": best, "median": {name: statistics.median(run[name] for run in runs) for name in best}}


def lines(start, end):
    """Rows of one kilobyte, as another server's export has them."""
    chance = random.Random(0)
    text = " ".join(f"word{chance.randrange(5000)}" for _ in range(80))
    for i in range(start, end):
        messages = [{"role": "user", "content": f"{i} {text}"}]
        named = {"id": f"chatcmpl-{i:024x}", "created": 1_700_000_000 + i // 50, "model": f"m{i % 7}"}
        completion = {**answer("red"), **named, "metadata": {"run": f"r{i % 100}", "row": str(i)}}
        yield json.dumps({"messages": messages, "completion": completion}).encode()


def bulk_import(serving, num_rows):
    """Through the API; making the lines isn't counted."""
    seconds, cpu, load = 0.0, serving.cpu_s(), os.getloadavg()[0]
    for start in range(0, num_rows, LINES_AT_ONCE):
        content = b"\n".join(lines(start, min(start + LINES_AT_ONCE, num_rows)))
        started = time.perf_counter()
        found = serving.send("/v1/potstill/imports", content)
        seconds += time.perf_counter() - started
        assert found["num_added"] == found["num_lines"], found
    return {
        "rows_per_second": round(num_rows / seconds),
        "server_cpu_ms_each": round((serving.cpu_s() - cpu) / num_rows * 1e3, 4),
        "load_average_before": round(load, 1),
        "load_average_after": round(os.getloadavg()[0], 1),
    }


def add_student(data):
    make_bundle(data / "students" / "one", schema=LabelSchema((Field(name="colour", classes=("blue", "red")),)))
    colour = AnswerField(path=("colour",), values={"blue": "blue", "red": "red"})
    form = AnswerForm(fields=(colour,), template={"colour": "red"}, form=(None, ",", ":"))
    task = Task(prompt=PromptForm(modality="text"), answer=form)
    database = open_database(data)
    database.write_now(lambda c: add_model(c, "default", STUDENT, base="student", folder="students/one", task=task))
    database.close()


def read_paths(serving):
    last = serving.send(f"{CHAT}?limit=20&order=desc")["last_id"]
    run = urllib.parse.quote("metadata[run]")
    return {
        "list": f"{CHAT}?limit=20&order=desc",
        "filter_model": f"{CHAT}?model=m3",
        "filter_metadata": f"{CHAT}?{run}=r42",
        "filter_both": f"{CHAT}?{run}=r42&model=m3",
        "filter_absent": f"{CHAT}?{run}=nowhere&model=m3",
        "get": f"{CHAT}/{last}",
    }


def measure_reads(data, seconds, repeats):
    """Lists, filters and gets, alone and beside the ingest."""
    with Serving(data, instant=True) as serving:
        found, paths = {}, read_paths(serving)
        for name, path in paths.items():
            part = {"path": path, "clients": 4, "seconds": seconds / 3}
            found[name] = repeated(lambda part=part: serving.load(part)[0], repeats)
        ingest = {"path": CHAT, "body": BODY_4KB, "clients": 64, "seconds": seconds}
        found["ingest_64_clients_4kB"] = repeated(lambda: serving.load(ingest)[0], repeats)
        for name in ("list", "filter_metadata", "get"):
            read = {"path": paths[name], "clients": 1, "seconds": seconds}
            found[f"{name}_under_ingest"] = repeated(lambda read=read: serving.load(read, ingest)[0], repeats)
        # A busy server is one whose core is full; half of that is what a server in use sees.
        steady = {**ingest, "rate": 1000}
        read = {"path": paths["filter_metadata"], "clients": 1, "seconds": seconds}
        found["filter_metadata_under_1000_per_second"] = repeated(lambda: serving.load(read, steady)[0], repeats)
        found["memory_bytes"] = serving.memory_bytes()
    return found


def measure_answers(data, seconds, repeats, litellm):
    """A student, and the proxy at a fixed rate beside the teacher asked directly and LiteLLM's proxy."""
    with teaching() as teacher_port, Serving(data, teacher_port=teacher_port) as serving:
        body = {"model": STUDENT, "messages": [{"role": "user", "content": "red"}]}
        student = {"path": CHAT, "body": body, "clients": 1, "seconds": seconds}
        found = {"student": repeated(lambda: serving.load(student)[0], repeats)}
        asked = {"model": "big", "messages": [{"role": "user", "content": "x" * 1000}]}
        proxied = {"path": CHAT, "body": asked, "clients": 64, "rate": 200, "seconds": seconds}
        peer = Litellm(litellm, teacher_port) if litellm else contextlib.nullcontext()
        with peer:

            def all_in_turn():
                one = {
                    "direct": run_load(teacher_port, "", [proxied])["parts"][0],
                    "potstill": serving.load(proxied)[0],
                }
                if litellm:
                    one["litellm"] = run_load(peer.port, peer.KEY, [proxied])["parts"][0]
                return one

            runs = [all_in_turn() for _ in range(repeats)]
        names = list(runs[0])
        found["proxy_at_200_per_second"] = {
            "runs": runs,
            "added_p50_ms": {
                name: round(statistics.median(r[name]["p50_ms"] - r["direct"]["p50_ms"] for r in runs), 2)
                for name in names[1:]
            },
            "added_p99_ms": {
                name: round(statistics.median(r[name]["p99_ms"] - r["direct"]["p99_ms"] for r in runs), 2)
                for name in names[1:]
            },
        }
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--litellm", help="python of an environment with benchmarks/server_peers.txt")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        starts = []
        for number in range(3):
            with Serving(data / f"start{number}") as serving:
                starts.append(serving.start_s)
        found = {"cold_start_s": round(statistics.median(starts), 2), "num_rows": args.rows}
        served = data / "served"
        served.mkdir()
        with Serving(served) as serving:
            found["import"] = bulk_import(serving, args.rows)
        add_student(served)
        found |= measure_answers(served, args.seconds, args.repeats, args.litellm)
        found |= measure_reads(served, args.seconds, args.repeats)
    print(json.dumps(found, indent=1))
    record("server", [found])


if __name__ == "__main__":
    main()
