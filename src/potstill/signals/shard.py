"""Files of the store: shards that are whole and sealed, and journals that are being written.

A shard is a line of JSON (key, codec, number of rows), then the digests of the inputs, then their logits; its name is
the SHA-256 of all of it. A journal is a run of records, each with its own checksum, so that whatever stood on disk when
the power went can be told from what did not.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import StoreError
from potstill.files import canonical_json, digest, write_atomic
from potstill.signals.codec import Codec
from potstill.types import FloatArray

DIGEST_BYTES = 32
_CHECK_BYTES = 4


def write_shard(folder: Path, key: str, codec: Codec, rows: dict[bytes, bytes]) -> str:
    """Writes the rows (input digest -> encoded logits) and returns the shard's name."""
    head = canonical_json({"key": key, "num_logits": codec.num_logits, "top_k": codec.top_k, "num_rows": len(rows)})
    ordered = sorted(rows)
    content = b"".join([head, b"\n", *ordered, *(rows[d] for d in ordered)])
    name = f"{digest(content)}.shard"
    write_atomic(folder / name, content)
    return name


def read_shard(path: Path, key: str, codec: Codec) -> tuple[list[bytes], FloatArray]:
    """Input digests and logits.

    Raises:
        StoreError: missing, changed, cut off, or of another teacher.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} is gone ({error.strerror}). {_REMEDY}") from error
    if f"{digest(content)}.shard" != path.name:
        raise StoreError(f"{path} is not what was written: its hash differs from its name. {_REMEDY}")
    head, body = _split(content)
    num_rows = int(head["num_rows"])
    expected = {"key": key, "num_logits": codec.num_logits, "top_k": codec.top_k, "num_rows": num_rows}
    if head != expected or len(body) != num_rows * (DIGEST_BYTES + codec.row_bytes):
        raise StoreError(f"{path} holds the answers of another teacher or other classes. {_REMEDY}")
    digests = [body[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES] for i in range(num_rows)]
    return digests, codec.decode(body[num_rows * DIGEST_BYTES :])


_REMEDY = (
    "Its answers can't be trusted, so nothing was taken from it. Run `potstill store gc --damaged` to drop it; its "
    "rows are asked again."
)


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    head, _, body = content.partition(b"\n")
    return json.loads(head), body


def journal_record(input_digest: bytes, row: bytes) -> bytes:
    """One answer as it is appended to a journal."""
    body = input_digest + row
    return body + zlib.crc32(body).to_bytes(_CHECK_BYTES, "little")


def read_journal(path: Path, codec: Codec) -> dict[bytes, bytes]:
    """The whole records at the start of a journal; what comes after a broken one was never promised to anybody."""
    size = DIGEST_BYTES + codec.row_bytes + _CHECK_BYTES
    rows = {}
    content = path.read_bytes()
    for start in range(0, len(content) - size + 1, size):
        record = content[start : start + size]
        body, check = record[:-_CHECK_BYTES], record[-_CHECK_BYTES:]
        if zlib.crc32(body).to_bytes(_CHECK_BYTES, "little") != check:
            break
        rows[body[:DIGEST_BYTES]] = body[DIGEST_BYTES:]
    return rows


def decode_rows(rows: dict[bytes, bytes], codec: Codec) -> dict[bytes, FloatArray]:
    """Input digest -> logits."""
    if not rows:
        return {}
    logits = codec.decode(b"".join(rows.values()))
    return dict(zip(rows, np.asarray(logits), strict=True))
