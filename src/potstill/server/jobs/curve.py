"""Losses of a running job, read from the checkpoints of its student."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HEADER = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
Point = tuple[int, float, float | None]
LOOK_EVERY_S = 1.0


class Curve:
    """Points of the student's training, told as metrics events as they are found."""

    def __init__(self, run_folder: Path, say: Callable[[dict[str, Any]], None]) -> None:
        self.points: list[Point] = []
        self._folder = run_folder
        self._say = say
        self._total = 0
        self._looked_at = 0.0
        self._is_student = False

    def begin(self, name: str, total: int | None) -> None:
        """A stage of the run begins."""
        if self._is_student:
            self.finish()
        self._is_student = name.startswith("student:")
        if self._is_student:
            self._total = total or 0

    def look(self) -> None:
        """Tells about new points, at most once a second."""
        if self._is_student and time.monotonic() > self._looked_at + LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            self.finish()

    def finish(self) -> None:
        """Tells about all points that are there."""
        for step, loss, score in self._read()[len(self.points) :]:
            self.points.append((step, loss, score))
            data: dict[str, Any] = {"step": step, "total_steps": max(self._total, step), "train_loss": loss}
            said = f"Step {step}/{data['total_steps']}: training loss={loss:.2f}"
            if score is not None:
                data["valid_loss"] = score
                said += f", validation loss={score:.2f}"
            self._say({"kind": "event", "key": f"step {step}", "message": said, "data": data})

    def metrics(self) -> dict[str, Any]:
        """The last point, as a checkpoint shows it."""
        if not self.points:
            return {"step": 0}
        step, loss, score = self.points[-1]
        return {"step": step, "train_loss": loss} | ({} if score is None else {"valid_loss": score})

    def _read(self) -> list[Point]:
        """The curve in the newest checkpoint of the student."""
        states = sorted(self._folder.glob("stages/student-*/step-*/state.json"), key=lambda path: path.parent.name)
        for path in reversed(states):
            try:
                curve = json.loads(path.read_bytes())["training"]["curve"]
            except (OSError, ValueError, KeyError):
                continue  # it is being replaced
            return [(int(step), float(loss), score) for step, loss, score in curve]
        return []


def results_csv(points: Sequence[Point]) -> str:
    """OpenAI's table of a job; accuracies are measured at the end alone, so these cells stay empty."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(HEADER)
    for step, loss, score in points:
        writer.writerow([step, loss, "", "" if score is None else score, ""])
    return target.getvalue()
