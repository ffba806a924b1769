"""The store of teachers' answers: what was answered once is never asked again.

One folder a teacher, named by the hash of everything that could change an answer:

    <root>/<key>/key.json        what the key was made of
    <root>/<key>/manifest.json   names of the sealed shards
    <root>/<key>/<sha256>.shard  answers, see `potstill.signals.shard`
    <root>/<key>/*.journal       answers of writers at work, or of writers that died
    <root>/<key>/refused.jsonl   inputs whose answer could not be used, and why
    <root>/teachers/<hash>/      weights of a teacher that was trained here, see `potstill.teachers.fit`

Writers never share a file: each has its journal, held by a lock that dies with its process. Sealing happens under the
lock of the folder. A journal without a living holder is sealed by whoever comes next.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from potstill.errors import StoreError
from potstill.files import canonical_json, digest, locked, write_atomic
from potstill.signals.codec import Codec, RowCodec
from potstill.signals.shard import decode_rows, journal_record, read_journal, read_shard, write_shard
from potstill.signals.tokens.codec import TokenCodec
from potstill.signals.tokens.format import TokenFormat
from potstill.types import Answers, FloatArray, LabelSchema

FORMAT_VERSION = 1


def default_root() -> Path:
    """$POTSTILL_STORE, else the user's cache folder."""
    if chosen := os.environ.get("POTSTILL_STORE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "potstill" / "store"


@dataclass(frozen=True)
class Entry:
    """The answers of one teacher.

    Attributes:
        folder: where they lie.
        key: hash of everything that could change an answer.
        codec: how a row is written.
    """

    folder: Path
    key: str
    codec: RowCodec

    def read(self) -> dict[bytes, FloatArray]:
        """Input digest -> logits, of all shards and journals.

        Raises:
            StoreError: a shard is damaged; the message names it.
        """
        assert isinstance(self.codec, Codec), "an entry of token signals is read record by record"
        return decode_rows(self.rows(), self.codec)

    def rows(self) -> dict[bytes, bytes]:
        """Input digest -> answer as the codec writes it, of all shards and journals.

        Raises:
            StoreError: a shard is damaged; the message names it.
        """
        answers: dict[bytes, bytes] = {}
        for path in sorted(self.folder.glob("*.journal")):
            # A writer may seal its journal while it is read here; the shard is read below.
            try:
                answers.update(read_journal(path, self.codec))
            except FileNotFoundError:
                continue
        for name in self.shards():
            digests, rows = read_shard(self.folder / name, self.key, self.codec)
            answers.update(zip(digests, rows, strict=True))
        return answers

    def refused(self) -> dict[bytes, str]:
        """Input digest -> why its answer could not be used."""
        path = self.folder / "refused.jsonl"
        found = {}
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            try:
                record = json.loads(line)
                found[bytes.fromhex(record["input"])] = str(record["reason"])
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a writer that died
        return found

    def shards(self) -> list[str]:
        """Names of the sealed shards.

        Raises:
            StoreError: the manifest can't be read.
        """
        path = self.folder / "manifest.json"
        if not path.exists():
            return []
        try:
            return [str(name) for name in json.loads(path.read_bytes())["shards"]]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} can't be read, so nobody knows which answers are whole. Run `potstill store gc --damaged`: it "
                "lists the whole shards again."
            ) from error

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """A writer with its own journal, sealed at the end and also after an error."""
        path = self.folder / f"{uuid.uuid4().hex}.journal"
        with path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield Writer(self, file)
            finally:
                self._seal(path)

    def adopt(self) -> None:
        """Seals the journals of writers that are no more."""
        for path in sorted(self.folder.glob("*.journal")):
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._seal(path)
            except (BlockingIOError, FileNotFoundError):
                continue

    def _seal(self, path: Path) -> None:
        with self.locked():
            if not path.exists():
                return
            rows = read_journal(path, self.codec)
            if rows:
                name = write_shard(self.folder, self.key, self.codec, rows)
                self.list_shards([*dict.fromkeys([*self.shards(), name])])
            path.unlink()

    def list_shards(self, names: Sequence[str]) -> None:
        """Writes the manifest; to be called under the lock."""
        write_atomic(self.folder / "manifest.json", canonical_json({"version": FORMAT_VERSION, "shards": list(names)}))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The lock of the folder."""
        with locked(self.folder / "lock"):
            yield


@dataclass(frozen=True)
class Writer:
    """Keeps answers; what `keep` has returned from survives a power cut."""

    entry: Entry
    file: IO[bytes]

    def keep(self, digests: Sequence[bytes], answers: Answers) -> None:
        """Appends the usable ones of these answers; `digests` are those of all inputs that were asked about."""
        codec = self.entry.codec
        assert isinstance(codec, Codec), "an entry of token signals keeps rows"
        rows = {
            digests[position]: codec.encode(answers.logits[i : i + 1])
            for i, position in enumerate(answers.positions)
            if int(position) not in answers.refused
        }
        self.keep_rows(rows, {digests[position]: reason for position, reason in answers.refused.items()})

    def keep_rows(self, rows: Mapping[bytes, bytes], refused: Mapping[bytes, str]) -> None:
        """Appends encoded answers (input digest -> row), and why others can't be used."""
        self.file.write(b"".join(journal_record(self.entry.codec, key, row) for key, row in rows.items()))
        os.fsync(self.file.fileno())
        if refused:
            self._refuse(refused)

    def _refuse(self, reasons: Mapping[bytes, str]) -> None:
        lines = [canonical_json({"input": d.hex(), "reason": reason}) + b"\n" for d, reason in reasons.items()]
        with self.entry.locked(), (self.entry.folder / "refused.jsonl").open("ab") as file:
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True)
class Store:
    """A folder of entries."""

    root: Path

    @property
    def teachers(self) -> Path:
        """Where teachers that are trained here keep their weights, so that the next run doesn't train them again."""
        return self.root / "teachers"

    def entry(self, identity: Mapping[str, Any], schema: LabelSchema) -> Entry:
        """The entry of a teacher; made when it is new.

        Args:
            identity: everything that could change an answer, see `Teacher.identity`.
            schema: what its logits stand for.
        """
        return self._entry({"identity": dict(identity), "schema": schema.to_json()})

    def token_entry(self, identity: Mapping[str, Any], form: TokenFormat) -> Entry:
        """The entry of a teacher that answers token by token; made when it is new.

        Args:
            identity: everything that could change an answer, see `Teacher.identity`.
            form: kind of signal, tokenizer, template and vocabulary.
        """
        return self._entry({"identity": dict(identity), "tokens": form.to_json()})

    def _entry(self, content: dict[str, Any]) -> Entry:
        content["version"] = FORMAT_VERSION
        key = digest(content)
        found = Entry(self.root / key[:32], key, _codec_of(content))
        found.folder.mkdir(parents=True, exist_ok=True)
        if not (found.folder / "key.json").exists():
            write_atomic(found.folder / "key.json", canonical_json(content))
        return found

    def entries(self) -> list[Entry]:
        """All entries.

        Raises:
            StoreError: a key file is damaged.
        """
        found = []
        for path in sorted(self.root.glob("*/key.json")):
            try:
                content = json.loads(path.read_bytes())
                codec = _codec_of(content)
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    f"{path} can't be read: remove the folder {path.parent}; its rows are asked again"
                ) from error
            if digest(content)[:32] != path.parent.name:
                raise StoreError(f"{path} is not what was written: remove the folder {path.parent}")
            found.append(Entry(path.parent, digest(content), codec))
        return found


def _codec_of(content: Mapping[str, Any]) -> RowCodec:
    if "tokens" in content:
        return TokenCodec(TokenFormat.from_json(content["tokens"]))
    return Codec.of(LabelSchema.from_json(content["schema"]))
