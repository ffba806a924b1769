"""A load client that costs the cores little: requests encoded once, HTTP/1.1 by hand, a process of its own.

`python -m benchmarks.server_load` reads one job from stdin; its parts run side by side:
{"port": 8080, "key": "...", "parts": [{"clients": 64, "seconds": 5, "path": "/healthz"}]}
"""

import asyncio
import json
import os
import statistics
import sys
import time

import uvloop


def encode(key, path, body):
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


class Client(asyncio.Protocol):
    """One connection; `answered` gets the seconds of each request."""

    def __init__(self, request, answered):
        self.request, self.answered, self.content = request, answered, b""

    def connection_made(self, transport):
        self.transport = transport

    def send(self, since=None):
        self.since = since or time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, piece):
        self.content += piece
        head, end, rest = self.content.partition(b"\r\n\r\n")
        if not end or len(rest) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            sys.stderr.write(f"{self.content[:500]!r}\n")
            os._exit(1)
        self.content = b""
        self.answered(self, time.perf_counter() - self.since)


async def connections(port, request, answered, number):
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Client(request, answered), "127.0.0.1", port) for _ in range(number)]
    return [client for _, client in made]


def figures(seconds):
    ordered = sorted(seconds)
    percentile = {"p50_ms": statistics.median(ordered), "p99_ms": ordered[int(len(ordered) * 0.99)]}
    return {"num": len(ordered), **{name: round(value * 1e3, 2) for name, value in percentile.items()}}


async def one_after_the_other(port, request, clients, seconds):
    found, left, done = [], clients, asyncio.get_running_loop().create_future()

    def answered(client, taken):
        nonlocal left
        found.append(taken)
        if time.perf_counter() < end:
            client.send()
            return
        left -= 1
        if not left:
            done.set_result(None)

    started = time.perf_counter()
    end = started + seconds
    for client in await connections(port, request, answered, clients):
        client.send()
    await done
    return {"per_second": round(len(found) / (time.perf_counter() - started)), **figures(found)}


async def at_a_rate(port, request, clients, seconds, rate):
    """Requests at fixed times; one that waits for a connection has begun when it should have been sent."""
    found, free, waiting = [], [], []

    def answered(client, taken):
        found.append(taken)
        if waiting:
            client.send(waiting.pop(0))
        else:
            free.append(client)

    free += await connections(port, request, answered, clients)
    start, total = time.perf_counter(), int(rate * seconds)
    for number in range(total):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        if free:
            free.pop().send()
        else:
            waiting.append(time.perf_counter())
    while len(found) < total:
        await asyncio.sleep(0.01)
    return figures(found)


async def main():
    job = json.load(sys.stdin)
    tasks = []
    for part in job["parts"]:
        request = encode(job["key"], part["path"], part.get("body"))
        given = (job["port"], request, part["clients"], part["seconds"])
        tasks.append(at_a_rate(*given, part["rate"]) if "rate" in part else one_after_the_other(*given))
    found = await asyncio.gather(*tasks)
    print(json.dumps({"parts": found, "cpu_s": time.process_time()}))


if __name__ == "__main__":
    uvloop.run(main())
