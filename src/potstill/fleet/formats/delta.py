"""What turns the file that a device has into the next one.

`subtract`: both files are of one length; bytes of the new one minus those of the old one, modulo 256, compressed by
Zstandard. `bsdiff`: the three parts of bsdiff (Percival, 2003: what to copy with a difference, the differences, and
what is new), one after another behind their lengths, compressed as one. What comes out is compared with the signed hash
by whoever asked; here only its size is kept in bounds, before anything is unpacked.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from potstill.errors import MissingExtraError, UpdateRefusedError

if TYPE_CHECKING:
    import zstandard

SUBTRACT: Final = "subtract"
BSDIFF: Final = "bsdiff"
METHODS = (SUBTRACT, BSDIFF)
# Lengths of the three parts of bsdiff.
HEAD = struct.Struct("<QQQ")
ENTRY_BYTES = 24


def apply_delta(method: str, old: bytes, delta: bytes, size: int) -> bytes:
    """Makes the new file.

    Args:
        method: `subtract` or `bsdiff`.
        old: the file that is there.
        delta: as it was downloaded.
        size: of the new file, as it is signed.

    Raises:
        UpdateRefusedError: it is no such delta, or would unpack to more than it may.
    """
    if method == SUBTRACT:
        if len(old) != size:
            raise UpdateRefusedError(f"a delta by subtraction of {size} bytes doesn't fit a file of {len(old)}")
        return _added(old, _inflate(delta, size))
    if method == BSDIFF:
        return _patched(old, _inflate(delta, bsdiff_limit(size), exact=False), size)
    raise UpdateRefusedError(f"a delta by {method!r}; this runtime knows {', '.join(METHODS)}")


def bsdiff_limit(size: int) -> int:
    """Bytes that the parts of bsdiff may have for a file of that size: those of the file, and as many for entries."""
    return HEAD.size + ENTRY_BYTES + 2 * size


def subtract(old: bytes, new: bytes) -> bytes:
    """Bytes of `new` minus those of `old`, modulo 256; both are of one length."""
    difference: bytes = (np.frombuffer(new, np.uint8) - np.frombuffer(old, np.uint8)).tobytes()
    return difference


def zstandard_module() -> Any:
    """The `zstandard` package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError("zstandard", "device") from error
    return zstandard


def _added(old: bytes, difference: bytes) -> bytes:
    added: bytes = (np.frombuffer(old, np.uint8) + np.frombuffer(difference, np.uint8)).tobytes()
    return added


def _inflate(delta: bytes, limit: int, *, exact: bool = True) -> bytes:
    """Unpacks at most `limit` bytes, whatever the delta says about itself."""
    module = zstandard_module()
    reader: zstandard.ZstdDecompressionReader = module.ZstdDecompressor(max_window_size=2**27).stream_reader(delta)
    pieces, total = [], 0
    try:
        # One more byte than may come, so that more is noticed and no more is unpacked.
        while total <= limit and (piece := reader.read(min(2**20, limit + 1 - total))):
            pieces.append(piece)
            total += len(piece)
    except module.ZstdError as error:
        raise UpdateRefusedError(f"the delta is damaged: {error}") from error
    if total > limit or (exact and total != limit):
        raise UpdateRefusedError(
            f"the delta unpacks to {'more than ' if total > limit else ''}{min(total, limit)} bytes, not to the signed "
            f"{limit}. It was made wrong, or to fill this device."
        )
    return b"".join(pieces)


def _patched(old: bytes, parts: bytes, size: int) -> bytes:
    if len(parts) < HEAD.size:
        raise UpdateRefusedError("the delta is cut off")
    num_control, num_difference, num_extra = HEAD.unpack_from(parts)
    if HEAD.size + num_control + num_difference + num_extra != len(parts) or num_control % ENTRY_BYTES:
        raise UpdateRefusedError("the parts of the delta are not as long as it says")
    control = np.frombuffer(parts, "<i8", num_control // 8, HEAD.size).reshape(-1, 3).tolist()
    start = HEAD.size + num_control
    difference, extra = parts[start : start + num_difference], parts[start + num_difference :]
    source, made = np.frombuffer(old, np.uint8), bytearray()
    at_old = at_difference = at_extra = 0
    for copied, new, skip in control:
        inside = copied >= 0 and new >= 0 and at_old >= 0 and at_old + copied <= len(old)
        if not inside or at_difference + copied > num_difference or at_extra + new > num_extra:
            raise UpdateRefusedError("the delta copies from outside the file")
        piece = np.frombuffer(difference, np.uint8, copied, at_difference) + source[at_old : at_old + copied]
        made += piece.tobytes() + extra[at_extra : at_extra + new]
        at_difference += copied
        at_extra += new
        at_old += copied + skip
    if len(made) != size:
        raise UpdateRefusedError(f"the delta makes {len(made)} bytes, not the signed {size}")
    return bytes(made)
