"""Predicts with what a device has, watches a new release while it does, and keeps it or goes back."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from potstill.errors import BundleError, ConfigurationError, DataError, PotstillError
from potstill.fleet.device.health import is_over, read_figures, save_figures, why_unwell, why_unwell_at_end
from potstill.fleet.device.place import Device
from potstill.fleet.device.samples import keep_sample
from potstill.fleet.device.state import NAME, Installed, State, read_state, save_state, with_report
from potstill.fleet.device.update import alone, can_go_back, revert
from potstill.fleet.formats.figures import Figures, parse_figures
from potstill.runtime import Model, Prediction, load
from potstill.types import Input

# Figures are kept after so many predictions; a crash loses at most these.
SAVE_EVERY = 50


class Serving:
    """A device that predicts; use it as a context, so that its figures are kept at the end."""

    def __init__(self, device: Device, *, threads: int = 1) -> None:
        """Loads what is active.

        Raises:
            ConfigurationError: nothing was installed yet.
            BundleError: nothing that is installed can be loaded.
        """
        self._device = device
        self._threads = threads
        self._stamp: tuple[int, int] = (0, 0)
        self._unsaved = 0
        self._figures = Figures()
        with alone(device):
            self._state = self._count_start(read_state(device))
            self._open()

    @property
    def model(self) -> Model:
        """What serves."""
        return self._model

    @property
    def release(self) -> Installed:
        """The release that serves."""
        current = self._state.current
        assert current is not None, "checked when it was opened"
        return current

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Keeps the figures."""
        if self._unsaved:
            save_figures(self._device, self.release.digest, self._figures)
            self._unsaved = 0

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """Predicts each input with what is active at this moment.

        Raises:
            DataError: an input that this model doesn't take.
            PotstillError: the model failed, and there is none to go back to.
        """
        self._follow()
        return [self._one(value) for value in inputs]

    def _one(self, value: Input) -> Prediction:
        started = time.perf_counter()
        try:
            found = _sound(self._model.predict([value])[0])
        except DataError:
            raise  # the input's fault, not the model's
        except Exception as error:
            return self._failed(value, error)
        elapsed_ms = (time.perf_counter() - started) * 1000
        said = found.label if isinstance(found.label, str) else repr(found.label)
        self._figures = self._figures.with_answer(
            said, found.probability, elapsed_ms, in_scope=found.in_scope is not False
        )
        if self._device.consent:
            keep_sample(self._device, value, found, self._state.current, self._model.preprocessor)
        self._counted()
        return found

    def _failed(self, value: Input, error: Exception) -> Prediction:
        """Counts the failure; while a release is on trial the one before answers."""
        self._figures = self._figures.with_error()
        on_trial = self._state.trial_since is not None
        self._counted()
        spare = self._state.spare
        if on_trial and self._state.trial_since is None and self._state.current:
            return _sound(self._model.predict([value])[0])  # it was given up just now
        if on_trial and self._state.previous is not None:
            return _sound(load(self._device.slot(spare), threads=self._threads).predict([value])[0])
        raise PotstillError(f"the model of this device failed: {error}") from error

    def _counted(self) -> None:
        self._unsaved += 1
        if self._state.trial_since is not None:
            self._judge()
        if self._unsaved >= SAVE_EVERY:
            self.close()

    def _judge(self) -> None:
        """Ends the window when it is over or the release is plainly unwell."""
        state, current = self._state, self.release
        assert state.trial_since is not None, "checked by the caller"
        usual = _usual(state)
        over = is_over(self._figures, current.health, state.trial_since)
        unwell = (why_unwell_at_end if over else why_unwell)(self._figures, usual, current.health)
        if not over and not unwell:
            return
        with alone(self._device):
            self.close()
            now = read_state(self._device)
            if now.current != current or now.trial_since is None:
                return  # an update changed it meanwhile; the next call follows
            if unwell and can_go_back(self._device, now):
                self._state = revert(self._device, now, unwell, bar=True)
                self._open()
                return
            kept = replace(now, trial_since=None, starts=0)
            summary = self._figures.summary()
            # Unwell and nothing to go back to: it stays, and the publisher is told.
            event = "health" if unwell else "committed"
            self._state = with_report(kept, self._device, event, current, reason=unwell, health=summary)
            save_state(self._device, self._state)
            self._stamp = self._stamp_now()

    def _follow(self) -> None:
        """Notices what an update changed."""
        if self._stamp_now() == self._stamp:
            return
        with alone(self._device):
            before, self._state = self._state, read_state(self._device)
            self._stamp = self._stamp_now()
            if self._state.current != before.current:
                # What was not kept yet were figures of the other release.
                self._unsaved = 0
                self._open()

    def _open(self) -> None:
        """Loads the active slot; what is damaged there is given up for the other slot."""
        current = self._state.current
        if current is None:
            raise ConfigurationError(
                f"nothing is installed on this device yet. Run: potstill device update {self._device.folder}"
            )
        try:
            self._model = _load(self._device, self._state, self._threads)
        except BundleError as error:
            if not can_go_back(self._device, self._state):
                raise
            self._state = revert(self._device, self._state, f"it can't be loaded: {error}"[:1000], bar=False)
            self._model = _load(self._device, self._state, self._threads)
        self._figures = read_figures(self._device, self.release.digest)
        self._stamp = self._stamp_now()

    def _count_start(self, state: State) -> State:
        """A release that kills the program is given up after some starts."""
        current = state.current
        if state.trial_since is None or current is None:
            return state
        if state.starts >= current.health.max_starts and can_go_back(self._device, state):
            why = f"the program started {state.starts} times before the window ended"
            return revert(self._device, state, why, bar=True)
        counted = replace(state, starts=state.starts + 1)
        save_state(self._device, counted)
        return counted

    def _stamp_now(self) -> tuple[int, int]:
        try:
            status = (self._device.folder / NAME).stat()
        except OSError:
            return (0, 0)
        return status.st_ino, status.st_mtime_ns


def _load(device: Device, state: State, threads: int) -> Model:
    assert state.active is not None and state.current is not None, "checked by the caller"
    model = load(device.slot(state.active), threads=threads)
    if model.digest != state.current.digest:
        raise BundleError("the bundle in this slot is not the one that was installed")
    return model


def _usual(state: State) -> Figures | None:
    try:
        return parse_figures(state.usual) if state.usual else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _sound(prediction: Prediction) -> Prediction:
    """Refuses an answer without a number for its probability.

    Raises:
        ValueError: the network gave none.
    """
    if not math.isfinite(prediction.probability):
        raise ValueError("the network gave no numbers")
    return prediction


def describe(device: Device) -> dict[str, Any]:
    """What a device is and has, for people and programs."""
    state = read_state(device)
    current, previous = state.current, state.previous
    figures = read_figures(device, current.digest) if current else Figures()
    return {
        **{k: v for k, v in device.to_json().items() if k not in ("format", "format_version")},
        "version": current.version if current else None,
        "digest": current.digest if current else "",
        "previous_version": previous.version if previous else None,
        "on_trial": state.trial_since is not None,
        "barred": dict(state.barred),
        "health": figures.summary(),
        "num_reports": len(state.reports),
    }
