"""Lines in pieces that a server takes at once."""

from __future__ import annotations

import sys
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any

from potstill.cli.import_.api import Api

MAX_LINES = 5000
MAX_BYTES = 16 << 20
NUM_NAMED = 100


def send_lines(server: Api, lines: Iterable[bytes], **query: str) -> dict[str, Any]:
    """Sends lines of stored completions; counts, and which lines were refused."""
    path = "/potstill/imports"
    if given := {name: value for name, value in query.items() if value}:
        path += "?" + urllib.parse.urlencode(given)
    total: dict[str, Any] = {"num_lines": 0, "num_added": 0, "num_known": 0, "num_rejected": 0, "rejected": []}
    first = 1
    for piece in _pieces(lines):
        found = server.post(path, content=b"\n".join(piece), type="application/x-ndjson")
        for name in ("num_lines", "num_added", "num_known", "num_rejected"):
            total[name] += found[name]
        for each in found["rejected"]:
            if len(total["rejected"]) < NUM_NAMED:
                total["rejected"].append({**each, "line": each["line"] + first - 1})
        first += len(piece)
        sys.stderr.write(f"{total['num_lines']} lines: {total['num_added']} new, {total['num_rejected']} refused\n")
    return total


def said(total: dict[str, Any]) -> str:
    """The counts for people, with the first reasons."""
    text = f"{total['num_added']} stored completions added, {total['num_known']} known, {total['num_rejected']} refused"
    return "\n".join([text, *(f"line {each['line']}: {each['reason']}" for each in total["rejected"][:10])])


def _pieces(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size = 0
    for line in lines:
        if piece and (len(piece) == MAX_LINES or size + len(line) > MAX_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(line.rstrip(b"\r\n"))
        size += len(line) + 1
    if piece:
        yield piece
