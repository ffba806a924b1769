"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere; and the wish to stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import FrameType
from typing import TextIO

from potstill.errors import PreemptedError

LINE_EVERY_S = 30.0
BAR_EVERY_S = 0.2
BAR_WIDTH = 24


class TerminalProgress:
    """Progress for the command line; SIGTERM and SIGHUP make the next `advance` raise `PreemptedError`."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._started = self._shown = time.monotonic()
        self._bar_is_drawn = False
        self._stop = ""

    def listen(self) -> None:
        """Takes over the signals; a second one ends the process at once."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            os._exit(75)
        self._stop = signal.Signals(number).name

    def stage(self, name: str, total: int | None = None) -> None:
        """Begins a stage."""
        self._end_bar()
        self._name, self._total, self._done = name, total, 0
        self._started = self._shown = time.monotonic()
        if not self._is_terminal:
            self._write(f"{name}{f' ({total:,})' if total else ''}\n")
        self._check()

    def advance(self, count: int = 1) -> None:
        """Counts, draws, and raises when somebody asked to stop."""
        self._done += count
        now = time.monotonic()
        if now - self._shown >= (BAR_EVERY_S if self._is_terminal else LINE_EVERY_S):
            self._shown = now
            self._draw(now)
        self._check()

    def say(self, message: str) -> None:
        """One line."""
        self._end_bar()
        self._write(message + "\n")

    def close(self) -> None:
        """Ends a bar that is being drawn."""
        self._end_bar()

    def _check(self) -> None:
        if self._stop:
            self._end_bar()
            raise PreemptedError(f"stopped by {self._stop}; everything done so far is kept. The same command goes on.")

    def _draw(self, now: float) -> None:
        rate = self._done / max(now - self._started, 1e-9)
        counted = f"{self._done:,}" + (f"/{self._total:,}" if self._total else "")
        text = f"{self._name}: {counted}, {rate:,.1f}/s"
        if self._total and rate > 0:
            text += f", {_clock(max(0.0, self._total - self._done) / rate)} left"
        if not self._is_terminal:
            self._write(text + "\n")
            return
        if self._total:
            filled = min(BAR_WIDTH, BAR_WIDTH * self._done // self._total)
            text = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {text}"
        self._bar_is_drawn = True
        self._write(f"\r{text[:118]:<118}")

    def _end_bar(self) -> None:
        if self._bar_is_drawn:
            self._bar_is_drawn = False
            self._write("\r" + " " * 118 + "\r")

    def _write(self, text: str) -> None:
        if not self._quiet:
            self._stream.write(text)
            self._stream.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
