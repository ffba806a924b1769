"""Losses of a running job, read from the checkpoints of its student."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HEADER = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
LOOK_EVERY_S = 1.0


class Point(NamedTuple):
    """What was measured at a step; None where nobody could.

    Attributes:
        step: of the optimizer.
        loss: mean in training since the point before.
        accuracy: share of labels, or of tokens, right in these steps, with the dropout and noise of training.
        dev_loss: on dev rows of the training file, in nats.
        dev_accuracy: on the same, without dropout.
    """

    step: int
    loss: float
    accuracy: float | None
    dev_loss: float | None
    dev_accuracy: float | None

    def metrics(self) -> dict[str, float]:
        """By OpenAI's names."""
        named = {
            "train_loss": self.loss,
            "train_mean_token_accuracy": self.accuracy,
            "valid_loss": self.dev_loss,
            "valid_mean_token_accuracy": self.dev_accuracy,
        }
        return {"step": self.step, **{name: value for name, value in named.items() if value is not None}}


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
        for point in self._read()[len(self.points) :]:
            self.points.append(point)
            data = {**point.metrics(), "total_steps": max(self._total, point.step)}
            said = f"Step {point.step}/{data['total_steps']}: training loss={point.loss:.2f}"
            if point.dev_loss is not None:
                said += f", validation loss={point.dev_loss:.2f}"
            self._say({"kind": "event", "key": f"step {point.step}", "message": said, "data": data})

    @property
    def num_steps(self) -> int:
        """Steps that were taken."""
        return self.points[-1].step if self.points else 0

    def at(self, step: int) -> dict[str, float]:
        """The point of a step, as a checkpoint shows it."""
        return next((point.metrics() for point in self.points if point.step == step), {"step": step})

    def _read(self) -> list[Point]:
        """The curve in the newest checkpoint of the student."""
        states = sorted(self._folder.glob("stages/student-*/step-*/state.json"), key=lambda path: path.parent.name)
        for path in reversed(states):
            try:
                training = json.loads(path.read_bytes())["training"]
                measured = list(zip(training["curve"], training["accuracies"], strict=True))
            except (OSError, ValueError, KeyError):
                continue  # it is being replaced
            return [Point(int(step), loss, own, nats, dev) for (step, loss, nats), (own, dev) in measured]
        return []


def results_csv(points: Sequence[Point]) -> str:
    """OpenAI's table of a job; a cell is empty where nothing could be measured."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(points)
    return target.getvalue()
