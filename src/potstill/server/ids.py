"""Names and places of rows. A row's `seq` grows with time, so that a page is a range and a date is a place."""

from __future__ import annotations

import secrets
import threading
import time

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SEQ_PER_S = 1_000_000 << 10
"""Places within a second: microseconds, and ten bits within each."""
LAST_SEQ = 2**63 - 1
CHANCE_BYTES = 4096
_lock = threading.Lock()
_last = 0
_chance = b""
_used = 0


def next_seq() -> int:
    """A place after all places that this process gave before; 63 bits."""
    global _last  # noqa: PLW0603 - the one clock of the process
    with _lock:
        _last = max(_last + 1, (time.time_ns() // 1000) << 10 | int.from_bytes(_random(2)) & 1023)
        return _last


def _random(size: int) -> bytes:
    """Random bytes of the system, fetched for many names at once; only under the lock.

    A call to the system gives up the interpreter, and getting that back costs more than the name while another thread
    writes.
    """
    global _chance, _used  # noqa: PLW0603 - what is left of the last fetch
    if _used + size > len(_chance):
        _chance, _used = secrets.token_bytes(CHANCE_BYTES), 0
    _used += size
    return _chance[_used - size : _used]


def first_seq_of(created: int) -> int:
    """No row of this second or later stands before it; a time that no row can have is brought into 63 bits."""
    return max(0, min(created * SEQ_PER_S, LAST_SEQ))


def new_id(prefix: str, seq: int | None = None) -> str:
    """A name that can't be guessed; with `seq` it starts with the place, so that an index of names grows at its end."""
    head = "" if seq is None else f"{seq:016x}"
    with _lock:
        return prefix + head + _random(8 if head else 12).hex()


def base62(number: int, width: int) -> str:
    """Digits, capitals, small letters: the order of texts is that of numbers."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def now() -> int:
    """Unix time in seconds."""
    return int(time.time())
