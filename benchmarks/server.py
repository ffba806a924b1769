"""The server under load, its load client on the same cores: ingest, lists, proxy, student, import, memory, cold start.

python -m benchmarks.server [--rows 1000000] [--seconds 10]
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.runtime.bundles import make_bundle

from benchmarks.record import record
from potstill.server.auth import Key
from potstill.server.completions import encode_request, rows_of
from potstill.server.database import open_database
from potstill.server.ids import new_id, next_seq
from potstill.server.models import FieldAnswer, Template, add_model

STUDENT = "ft:bench:default:one:00000000"
ANSWER = {
    "object": "chat.completion",
    "id": "x",
    "created": 1,
    "model": "big",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "red"}}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 1, "total_tokens": 1001},
}


class Connection:
    """HTTP/1.1 by hand: a client library would take more of the cores than the server."""

    async def open(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def send(self, method, path, key="", body=None):
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
        self.writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        content = await self.reader.readexactly(length)
        assert head.startswith(b"HTTP/1.1 200"), (head, content[:300])
        return content


async def teacher(reader, writer):
    content = json.dumps(ANSWER).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode()
    try:
        while head_of := await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(int(head_of.lower().partition(b"content-length:")[2].split()[0]))
            writer.write(head + content)
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        writer.close()


class Serving:
    """`potstill serve` as a user starts it."""

    def __init__(self, data, teacher_port=9):
        command = [sys.executable, "-m", "potstill.cli", "serve", "--data", str(data), "--port", "0", "--json"]
        command += ["--teacher", f"big=http://127.0.0.1:{teacher_port}/v1"]
        started = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = json.loads(self.process.stdout.readline())
        self.start_s = time.perf_counter() - started
        self.port, self.key = int(found["base_url"].split(":")[2].split("/")[0]), found["api_key"]

    def memory_bytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def times_ms(seconds):
    ordered = sorted(seconds)
    return {
        "p50_ms": round(statistics.median(ordered) * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
        "num": len(ordered),
    }


def chat(model, text, **options):
    return {"model": model, "messages": [{"role": "user", "content": text}], **options}


async def load(port, key, num_clients, seconds, request):
    """Clients that send one after the other; seconds of each request."""
    found, end = [], time.perf_counter() + seconds

    async def client(number):
        connection = await Connection().open(port)
        count = 0
        while time.perf_counter() < end:
            started = time.perf_counter()
            await connection.send(*request(number, count)[:2], key, *request(number, count)[2:])
            found.append(time.perf_counter() - started)
            count += 1

    started = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(num_clients)))
    return {"per_second": round(len(found) / (time.perf_counter() - started)), **times_ms(found)}


async def steady(port, key, rate, seconds, body):
    """Requests at a fixed rate, whatever their answers take."""
    connections = [await Connection().open(port) for _ in range(32)]
    free, found = asyncio.Queue(), []
    for connection in connections:
        free.put_nowait(connection)

    async def one():
        started = time.perf_counter()
        connection = await free.get()
        await connection.send("POST", "/v1/chat/completions", key, body)
        found.append(time.perf_counter() - started)
        free.put_nowait(connection)

    start, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        tasks.append(asyncio.ensure_future(one()))
    await asyncio.gather(*tasks)
    return times_ms(found)


def fill(data, num_rows):
    """Rows as they are imported, one kilobyte each; rows a second."""
    database = open_database(data)
    chance, key = random.Random(0), Key(id="", project="default", name="")
    text = " ".join(f"word{chance.randrange(5000)}" for _ in range(80))
    started = time.perf_counter()

    async def work():
        for start in range(0, num_rows, 2000):
            tables = {}
            for i in range(start, min(start + 2000, num_rows)):
                seq, request = next_seq(), chat(f"m{i % 7}", f"{i} {text}")
                metadata = {"run": f"r{i % 100}", "row": str(i)}
                response = {**ANSWER, "id": new_id("chatcmpl-", seq), "model": f"m{i % 7}", "metadata": metadata}
                asked = encode_request(request)
                rows = rows_of(key, seq, response, request, asked=asked, teacher="big")
                for table, found in rows.items():
                    tables.setdefault(table, []).extend(found)
            await database.append(tables)

    asyncio.run(work())
    seconds = time.perf_counter() - started
    database.close()
    return round(num_rows / seconds)


def add_student(data):
    make_bundle(data / "students" / "one")
    template = Template(input="text", form="text", fields=[FieldAnswer(field="colour")])
    database = open_database(data)
    database.write_now(
        lambda c: add_model(c, "default", STUDENT, base="bench", folder="students/one", template=template)
    )
    database.close()


async def measure(data, seconds):
    server = await asyncio.start_server(teacher, "127.0.0.1", 0)
    teacher_port = server.sockets[0].getsockname()[1]
    serving = Serving(data, teacher_port)
    port, key, found = serving.port, serving.key, {}
    try:
        one = await Connection().open(port)
        await one.send("POST", "/v1/chat/completions", key, chat(STUDENT, "red"))
        found["student"] = await load(
            port, key, 1, seconds, lambda *_: ("POST", "/v1/chat/completions", chat(STUDENT, "red"))
        )
        page = json.loads(await one.send("GET", "/v1/chat/completions?limit=20&order=desc", key))
        reads = {
            "list": "/v1/chat/completions?limit=20&order=desc",
            "filter_model": "/v1/chat/completions?model=m3",
            "filter_metadata": "/v1/chat/completions?metadata%5Brun%5D=r42",
            "filter_both": "/v1/chat/completions?metadata%5Brun%5D=r42&model=m3",
            "filter_absent": "/v1/chat/completions?metadata%5Brun%5D=nowhere&model=m3",
            "get": f"/v1/chat/completions/{page['last_id']}",
        }
        for name, path in reads.items():
            found[name] = await load(port, key, 4, seconds / 3, lambda *_, path=path: ("GET", path))
        body = chat("big", "x" * 1000)
        direct = await steady(teacher_port, "", 200, seconds, body)
        proxied = await steady(port, key, 200, seconds, body)
        added = {name: round(proxied[name] - direct[name], 2) for name in ("p50_ms", "p99_ms")}
        found["proxy_at_200_per_second"] = {"direct": direct, "proxied": proxied, "added": added}
        stored = {"store": True, "metadata": {"a": "b", "c": "d"}}
        asked = chat(STUDENT, "red", **stored)
        asked["messages"].insert(0, {"role": "system", "content": "Say what it is. " * 235})
        cpu = serving.cpu_s()
        ingest = load(port, key, 64, seconds, lambda *_: ("POST", "/v1/chat/completions", asked))
        alone = await ingest
        alone["server_cpu_ms_each"] = round((serving.cpu_s() - cpu) / alone["num"] * 1e3, 3)
        found["ingest_64_clients_4kB"] = alone
        both = await asyncio.gather(
            load(port, key, 64, seconds, lambda *_: ("POST", "/v1/chat/completions", asked)),
            load(port, key, 1, seconds, lambda *_: ("GET", reads["filter_metadata"])),
        )
        found["filter_under_ingest"] = both[1]
        found["memory_bytes"] = serving.memory_bytes()
    finally:
        serving.stop()
        server.close()
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        starts = []
        for number in range(3):
            serving = Serving(data / f"start{number}")
            starts.append(serving.start_s)
            serving.stop()
        found = {"cold_start_s": round(statistics.median(starts), 2), "num_rows": args.rows}
        found["load_average"] = [round(value, 1) for value in os.getloadavg()]
        served = data / "served"
        served.mkdir()
        found["import_rows_per_second"] = fill(served, args.rows)
        add_student(served)
        found |= asyncio.run(measure(served, args.seconds))
    print(json.dumps(found, indent=1))
    record("server", [found])


if __name__ == "__main__":
    main()
