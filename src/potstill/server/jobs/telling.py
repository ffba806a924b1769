"""How a job's process tells the server what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Say = Callable[[dict[str, Any]], None]
SKIPPED_IMAGES = "skipped-images.json"
"""In a job's folder: pictures that are left out, with line, index and reason."""


def event(say: Say, key: str, message: str, *, status: str = "", level: str = "info") -> None:
    """One event, told again under the same key when the job is done again; `status` moves the job on."""
    said = {"kind": "event", "key": key, "message": message, "level": level}
    say({**said, "status": status} if status else said)
