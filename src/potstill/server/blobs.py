"""Large contents by their SHA-256: written once, checked when read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, final

from potstill.errors import StoreError
from potstill.files import sync_folder

PIECE = 1 << 20


@final
@dataclass(frozen=True, slots=True)
class Blobs:
    """The content-addressed store: `<root>/ab/abcdef...`."""

    root: Path

    def path(self, digest: str) -> Path:
        """Where a content lies, or would lie."""
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise StoreError(f"{digest[:80]!r} is no SHA-256")
        return self.root / digest[:2] / digest

    def put(self, content: bytes) -> str:
        """Keeps bytes and returns their digest; what was returned survives a power cut."""
        with self.draft() as draft:
            draft.write(content)
            return draft.keep()

    def draft(self) -> Draft:
        """A content that comes in pieces."""
        self.root.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.root, prefix=".draft-")
        return Draft(self, os.fdopen(handle, "wb"), Path(name))

    def read(self, digest: str) -> bytes:
        """The whole content.

        Raises:
            StoreError: it is lost or damaged.
        """
        return b"".join(self.pieces(digest))

    def pieces(self, digest: str) -> Iterator[bytes]:
        """The content in pieces; the last one comes only when the digest is right.

        Raises:
            StoreError: it is lost or damaged.
        """
        path = self.path(digest)
        found = hashlib.sha256()
        try:
            with path.open("rb") as file:
                piece = file.read(PIECE)
                while True:
                    following = file.read(PIECE)
                    found.update(piece)
                    if not following:
                        break
                    yield piece
                    piece = following
        except FileNotFoundError as error:
            raise StoreError(f"{path} is lost; restore it from a backup") from error
        if found.hexdigest() != digest:
            raise StoreError(
                f"{path} is damaged: its bytes have another SHA-256 than its name; restore it from a backup"
            )
        yield piece

    def remove(self, digest: str) -> None:
        """Deletes a content that no row names any more."""
        self.path(digest).unlink(missing_ok=True)


class Draft:
    """A content at work; a context that leaves nothing behind unless it was kept."""

    def __init__(self, blobs: Blobs, file: IO[bytes], name: Path) -> None:
        self.size = 0
        self._blobs = blobs
        self._file = file
        self._name = name
        self._hash = hashlib.sha256()

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._name.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Appends."""
        self._hash.update(piece)
        self.size += self._file.write(piece)

    def keep(self) -> str:
        """Makes it durable under its digest, which it returns."""
        digest = self._hash.hexdigest()
        target = self._blobs.path(digest)
        self._file.flush()
        os.fsync(self._file.fileno())
        target.parent.mkdir(exist_ok=True)
        self._name.replace(target)
        sync_folder(target.parent)
        sync_folder(self._blobs.root)
        return digest
