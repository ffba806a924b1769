"""Files of the store: shards that are whole and sealed, and journals that are being written.

A shard is a line of JSON (key, codec, number of rows), then the digests of the inputs, then their answers as the codec
packs them; its name is the SHA-256 of all of it. A journal is a run of records, each with its own checksum, so that
whatever stood on disk when the power went can be told from what did not.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from potstill.errors import StoreError
from potstill.files import canonical_json, digest, write_atomic
from potstill.signals.codec import Codec, RowCodec
from potstill.types import FloatArray

DIGEST_BYTES = 32
_CHECK_BYTES = 4
_LENGTH_BYTES = 4


def write_shard(folder: Path, key: str, codec: RowCodec, rows: dict[bytes, bytes]) -> str:
    """Writes the rows (input digest -> encoded answer) and returns the shard's name."""
    ordered = sorted(rows)
    packed = codec.pack([rows[d] for d in ordered])
    content = b"".join([_head(key, codec, len(rows)), b"\n", *ordered, packed])
    name = f"{digest(content)}.shard"
    write_atomic(folder / name, content)
    return name


def read_shard(path: Path, key: str, codec: RowCodec) -> tuple[list[bytes], Sequence[bytes]]:
    """Input digests and encoded answers.

    Raises:
        StoreError: missing, changed, cut off, or of another teacher.
    """
    digests, packed = check_shard(path, key, codec)
    try:
        return digests, codec.unpack(packed, len(digests))
    except StoreError as error:
        raise StoreError(f"{path}: {error}. {_REMEDY}") from error


def check_shard(path: Path, key: str, codec: RowCodec) -> tuple[list[bytes], bytes]:
    """Input digests and what is packed after them.

    Raises:
        StoreError: missing, changed, cut off, or of another teacher.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} is gone ({error.strerror}). {_REMEDY}") from error
    if f"{digest(content)}.shard" != path.name:
        raise StoreError(f"{path} is not what was written: its hash differs from its name. {_REMEDY}")
    head, _, body = content.partition(b"\n")
    num_rows = int(json.loads(head)["num_rows"])
    if head != _head(key, codec, num_rows) or len(body) < num_rows * DIGEST_BYTES:
        raise StoreError(f"{path} holds the answers of another teacher or other classes. {_REMEDY}")
    digests = [body[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES] for i in range(num_rows)]
    return digests, body[num_rows * DIGEST_BYTES :]


_REMEDY = (
    "Its answers can't be trusted, so nothing was taken from it. Run `potstill store gc --damaged` to drop it; its "
    "rows are asked again."
)


def _head(key: str, codec: RowCodec, num_rows: int) -> bytes:
    return canonical_json({"key": key, **codec.head(), "num_rows": num_rows})


def journal_record(codec: RowCodec, input_digest: bytes, row: bytes) -> bytes:
    """One answer as it is appended to a journal; its length stands first where rows differ."""
    length = b"" if codec.row_bytes is not None else len(row).to_bytes(_LENGTH_BYTES, "little")
    body = length + input_digest + row
    return body + zlib.crc32(body).to_bytes(_CHECK_BYTES, "little")


def read_journal(path: Path, codec: RowCodec) -> dict[bytes, bytes]:
    """The whole records at the start of a journal; what comes after a broken one was never promised to anybody."""
    rows = {}
    content = path.read_bytes()
    before = 0 if codec.row_bytes is not None else _LENGTH_BYTES
    start = 0
    while start + before < len(content):
        num_bytes = codec.row_bytes or int.from_bytes(content[start : start + before], "little")
        end = start + before + DIGEST_BYTES + num_bytes
        body, check = content[start:end], content[end : end + _CHECK_BYTES]
        if zlib.crc32(body).to_bytes(_CHECK_BYTES, "little") != check:
            break
        rows[body[before : before + DIGEST_BYTES]] = body[before + DIGEST_BYTES :]
        start = end + _CHECK_BYTES
    return rows


def decode_rows(rows: dict[bytes, bytes], codec: Codec) -> dict[bytes, FloatArray]:
    """Input digest -> logits."""
    if not rows:
        return {}
    logits = codec.decode(b"".join(rows.values()))
    return dict(zip(rows, np.asarray(logits), strict=True))
