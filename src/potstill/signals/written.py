"""What teachers wrote, with the alternatives of every token, kept as it comes. A tokens of an answer, K alternatives.

A stand-in for the store of token signals: one journal a teacher, one checked line an answer.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from potstill.files import canonical_json, digest, write_atomic
from potstill.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenAnswer:
    """One answer of a teacher.

    Attributes:
        text: what it says.
        ids: A, in the teacher's vocabulary; empty where only the text is known.
        top_ids: A x K.
        top_logprobs: A x K.
        is_whole: False where it was cut off before its end.
    """

    text: str
    ids: IntArray
    top_ids: IntArray
    top_logprobs: FloatArray
    is_whole: bool = True


@dataclass(frozen=True)
class WrittenEntry:
    """The answers of one teacher.

    Attributes:
        folder: where they lie.
    """

    folder: Path

    @property
    def _journal(self) -> Path:
        return self.folder / "answers.jsonl"

    def read(self) -> dict[bytes, WrittenAnswer]:
        """Prompt digest -> answer; a line that was being written when the power went is passed over."""
        found = {}
        for line in self._journal.read_bytes().splitlines() if self._journal.exists() else ():
            check, _, body = line.partition(b" ")
            if check != f"{zlib.crc32(body):08x}".encode():
                continue
            record = json.loads(body)
            found[bytes.fromhex(record.pop("prompt"))] = WrittenAnswer(
                text=record["text"],
                ids=np.array(record["ids"], np.int64),
                top_ids=np.array(record["top_ids"], np.int64).reshape(len(record["ids"]), -1),
                top_logprobs=-np.array(record["top_nats"], np.float32).reshape(len(record["ids"]), -1) / 64,
                is_whole=record["is_whole"],
            )
        return found

    def keep(self, prompt: bytes, answer: WrittenAnswer) -> None:
        """Appends an answer."""
        record = {
            "prompt": prompt.hex(),
            "text": answer.text,
            "ids": answer.ids.tolist(),
            "top_ids": answer.top_ids.tolist(),
            "top_nats": np.rint(-answer.top_logprobs * 64).astype(int).tolist(),
            "is_whole": answer.is_whole,
        }
        body = canonical_json(record)
        with self._journal.open("ab") as file:
            file.write(f"{zlib.crc32(body):08x} ".encode() + body + b"\n")


def written_entry(root: Path, identity: Mapping[str, Any]) -> WrittenEntry:
    """The entry of a teacher; made when it is new."""
    folder = root / "written" / digest(dict(identity))[:32]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "identity.json").exists():
        write_atomic(folder / "identity.json", canonical_json(dict(identity)))
    return WrittenEntry(folder)
