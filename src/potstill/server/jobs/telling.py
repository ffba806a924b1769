"""How a job's process tells the server what happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDER, BUNDLE = "checkpoints", "bundle"
# Besides the student itself, which is the best step on dev.
NUM_CHECKPOINTS = 3
Say = Callable[[dict[str, Any]], None]
SKIPPED_IMAGES = "skipped-images.json"
"""In a job's folder: pictures that are left out, with line, index and reason."""


def checkpoints_of(
    result: Mapping[str, Any], run: Path, at: Callable[[int], dict[str, float]], shipped: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Checkpoints of a finished run as the server is told them, the earliest first.

    Args:
        result: of the run.
        run: its folder.
        at: figures of a step.
        shipped: further ones of the step that is the student itself.
    """
    folders = {int(step): f"{run.name}/{FOLDER}/{Path(path).name}" for step, path in result["checkpoints"].items()}
    folders[result["step"]] = f"{run.name}/{BUNDLE}"
    return [
        {"step": step, "folder": folder, "metrics": {**at(step), **(shipped if step == result["step"] else {})}}
        for step, folder in sorted(folders.items())
    ]


def event(say: Say, key: str, message: str, *, status: str = "", level: str = "info") -> None:
    """One event, told again under the same key when the job is done again; `status` moves the job on."""
    said = {"kind": "event", "key": key, "message": message, "level": level}
    say({**said, "status": status} if status else said)
