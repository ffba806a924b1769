"""What devices sent back, as rows of a table that a run can read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from potstill.data.folders import read_source
from potstill.data.guess import guess_text
from potstill.data.inputs import base_folder
from potstill.data.options import DataOptions
from potstill.data.readers import read_table
from potstill.errors import DataError
from potstill.files import digest, write_atomic
from potstill.fleet.publisher.inbox import read_records
from potstill.fleet.publisher.place import Fleet
from potstill.runtime.media import read_picture, read_sound
from potstill.types import Input

TABLE, FILES = "returned.jsonl", "returned"
# Name in a sample, and ending of the file.
KINDS: Mapping[str, tuple[str, str]] = {"text": ("text", ""), "image": ("picture", ".png"), "audio": ("sound", ".wav")}
Modality = Literal["text", "image", "audio"]


@dataclass(frozen=True)
class Returned:
    """One input that a device sent back.

    Attributes:
        input: text, picture or sound.
        content: of its file; empty for a text.
        label: what the student said.
    """

    input: Input
    content: bytes
    label: Any


def read_returned(fleet: Fleet, cohort: str, modality: Modality, rate: int) -> tuple[list[Returned], list[Path]]:
    """Inputs that devices of a cohort sent, each once, and the files that they came in.

    A device may send what it likes under its signature: what isn't an input of this kind is passed over.

    Args:
        fleet: whose inbox.
        cohort: of the devices.
        modality: of the inputs.
        rate: of sounds, samples a second.
    """
    cohorts = {record.device: record.cohort for record in read_records(fleet)}
    name, _ = KINDS[modality]
    found: dict[str, Returned] = {}
    files = []
    for path in sorted((fleet.inbox / "samples").glob("*.json")):
        if cohorts.get(path.name.partition("-")[0]) != cohort:
            continue
        files.append(path)
        for sample in json.loads(path.read_bytes()):
            said = sample.get(name)
            if isinstance(said, str) and said not in found and (one := _one(said, modality, rate, sample.get("label"))):
                found[said] = one
    return list(found.values()), files


def _one(said: str, modality: Modality, rate: int, label: Any) -> Returned | None:
    if modality == "text":
        return Returned(said, b"", label) if said.strip() else None
    try:
        content = base64.b64decode(said, validate=True)
        value = read_picture(content) if modality == "image" else read_sound(content, rate)
    except (ValueError, DataError):
        return None
    return Returned(value, content, label)


def with_rows(data: DataOptions, rows: Sequence[Returned], out: Path) -> DataOptions:
    """The data of a run with these rows among those without labels.

    Args:
        data: of the run before.
        rows: that came back.
        out: folder that gets a table, and the files of pictures and sounds beside it.
    """
    before = read_source(Path(data.unlabelled)) if data.unlabelled else None
    if data.modality == "text":
        data = replace(data, text=data.text or guess_text(read_table(Path(data.train))))
        cells = [str(text) for text in before.column(data.text) if text] if before else []
        cells += [str(row.input) for row in rows]
    else:
        keep = _keeper(out, KINDS[data.modality][1])
        older = [] if before is None else [(cell, base_folder(before)) for cell in before.column(data.column) if cell]
        cells = [_cell(cell, folder, keep) for cell, folder in older]
        cells += [keep(row.content) for row in rows]
    lines = [json.dumps({data.column: cell}, ensure_ascii=False) for cell in dict.fromkeys(cells)]
    write_atomic(out / TABLE, ("\n".join(lines) + "\n").encode())
    return replace(data, unlabelled=str(out / TABLE))


def _keeper(out: Path, ending: str) -> Callable[[bytes], str]:
    def keep(content: bytes) -> str:
        path = out / FILES / f"{digest(content)[:24]}{ending}"
        write_atomic(path, content)
        return str(path.relative_to(out))

    return keep


def _cell(cell: Any, folder: Path, keep: Callable[[bytes], str]) -> str:
    """A picture or sound of an earlier table as a path that doesn't depend on where that table lies."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    return (
        keep(bytes(cell)) if isinstance(cell, bytes | bytearray | memoryview) else str((folder / str(cell)).resolve())
    )
