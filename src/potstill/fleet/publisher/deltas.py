"""Deltas from the files of earlier releases, kept only where they are smaller than the file itself."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from potstill.errors import MissingExtraError
from potstill.fleet.formats.delta import BSDIFF, HEAD, SUBTRACT, bsdiff_limit, subtract, zstandard_module
from potstill.fleet.formats.names import delta_target
from potstill.runtime.manifest import NAME

LEVEL = 19
# A delta that saves less than this is not worth a second way of failing.
MAX_SHARE = 0.9
# bsdiff sorts all suffixes of the old file: time and memory grow with it.
MAX_BSDIFF_BYTES = 64 * 1024**2


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Delta:
    """A way from one file to another.

    Attributes:
        file: name in the bundle.
        from_sha256: of the file that a device has.
        to_sha256: of the file that it gets.
        method: see `potstill.fleet.formats.delta`.
        size_bytes: of the file that it gets.
        content: what is downloaded.
    """

    file: str
    from_sha256: str
    to_sha256: str
    method: str
    size_bytes: int
    content: bytes = field(repr=False)

    @property
    def target(self) -> str:
        """Name in the repository."""
        return delta_target(self.from_sha256, self.to_sha256)

    @property
    def custom(self) -> dict[str, Any]:
        """What is signed about it."""
        return {"method": self.method, "size_bytes": self.size_bytes}

    @property
    def share(self) -> float:
        """Of the file's size."""
        return len(self.content) / max(1, self.size_bytes)

    def to_json(self) -> dict[str, Any]:
        """Without the content."""
        return {
            "file": self.file,
            "method": self.method,
            "from": self.from_sha256,
            "to": self.to_sha256,
            "delta_bytes": len(self.content),
            "size_bytes": self.size_bytes,
            "share": round(self.share, 6),
        }


def make_deltas(parents: Sequence[Mapping[str, bytes]], files: Mapping[str, bytes]) -> list[Delta]:
    """Deltas from every parent's file of the same name that differs. The manifest is always downloaded whole."""
    made: dict[str, Delta] = {}
    for parent in parents:
        for name in sorted(set(parent) & set(files) - {NAME}):
            if parent[name] != files[name] and (delta := _smallest(name, parent[name], files[name])):
                made[delta.target] = delta
    return list(made.values())


def _smallest(name: str, old: bytes, new: bytes) -> Delta | None:
    found: dict[str, bytes] = {}
    if len(old) == len(new):
        found[SUBTRACT] = compress(subtract(old, new))
    # Where subtraction works, bsdiff finds nothing that is worth its time.
    best = min(map(len, found.values()), default=len(new))
    if best > MAX_SHARE * len(new) and max(len(old), len(new)) <= MAX_BSDIFF_BYTES:
        parts = bsdiff_parts(old, new)
        if len(parts) <= bsdiff_limit(len(new)):
            found[BSDIFF] = compress(parts)
    if not found:
        return None
    method = min(found, key=lambda key: len(found[key]))
    if len(found[method]) > MAX_SHARE * len(new):
        return None
    return Delta(
        file=name,
        from_sha256=hashlib.sha256(old).hexdigest(),
        to_sha256=hashlib.sha256(new).hexdigest(),
        method=method,
        size_bytes=len(new),
        content=found[method],
    )


def bsdiff_parts(old: bytes, new: bytes) -> bytes:
    """The parts of bsdiff, one after another behind their lengths.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        from bsdiff4 import core
    except ImportError as error:
        raise MissingExtraError("bsdiff4", "fleet") from error
    control, difference, extra = core.diff(old, new)
    # The package writes numbers as sign and magnitude; a device reads plain ones.
    numbers = [core.decode_int64(control[i : i + 8]) for i in range(0, len(control), 8)]
    entries = struct.pack(f"<{len(numbers)}q", *numbers)
    return HEAD.pack(len(entries), len(difference), len(extra)) + entries + bytes(difference) + bytes(extra)


def compress(content: bytes) -> bytes:
    """As a delta is downloaded."""
    compressed: bytes = zstandard_module().ZstdCompressor(level=LEVEL).compress(content)
    return compressed
