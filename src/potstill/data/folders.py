"""A folder of pictures or sounds as a table: one folder a class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np

from potstill.data.readers import Encoding, read_table
from potstill.data.table import Table
from potstill.errors import DataError
from potstill.runtime.media import PICTURE_SUFFIXES, SOUND_SUFFIXES

MediaKind = Literal["image", "audio"]


def folder_kind(path: Path) -> MediaKind | None:
    """What most files below a folder are; None when there is neither picture nor sound."""
    suffixes = Counter(file.suffix.lower() for file in path.rglob("*") if file.is_file())
    pictures = sum(suffixes[name] for name in PICTURE_SUFFIXES)
    sounds = sum(suffixes[name] for name in SOUND_SUFFIXES)
    if pictures == sounds == 0:
        return None
    return "image" if pictures >= sounds else "audio"


def read_folder(path: Path) -> Table:
    """Columns `image` or `audio` (paths) and `label` (the folder that a file lies in); files at the top have no label.

    Hidden files are passed over. Files with a suffix of another kind are rows too, so that a wrong suffix is noticed
    and counted rather than lost.

    Raises:
        DataError: nothing in it.
    """
    kind = folder_kind(path)
    if kind is None:
        raise DataError(
            f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES[:3])}, ...) and no sounds "
            f"({', '.join(SOUND_SUFFIXES[:2])}, ...). Expected one folder a class, such as {path.name}/cat/1.jpg"
        )
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file, path)]
    labels = [file.relative_to(path).parts[0] if file.parent != path else None for file in files]
    return Table(
        columns={kind: [str(file) for file in files], "label": labels},
        line_numbers=np.arange(1, len(files) + 1),
        source=str(path),
    )


def read_source(path: Path, *, encoding: Encoding = "auto") -> Table:
    """A folder of pictures or sounds, or a table in a file; see `read_folder` and `read_table`."""
    return read_folder(path) if path.is_dir() else read_table(path, encoding=encoding)


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)
