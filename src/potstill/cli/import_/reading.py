"""Files that an import takes as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from potstill.errors import DataError


def read_text(path: Path) -> str:
    """All of it.

    Raises:
        DataError: it can't be read, or is no UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read as UTF-8 text: {error}") from error


def parse_json(text: str, path: Path) -> Any:
    """The value.

    Raises:
        DataError: it is no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}") from error
