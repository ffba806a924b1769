"""The buffer of a session: sound goes in, utterances come out. Shape: S samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from potstill.runtime.listening import Heard, Listener, VoiceActivity
from potstill.runtime.model import Model, Prediction
from potstill.server.errors import invalid
from potstill.server.realtime.session import Detection
from potstill.server.realtime.sounds import RATES, Resampler
from potstill.types import FloatArray

LEAST_S = 0.1
LONGEST_S = 120.0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """What was said, and where in all the sound of the session."""

    start_s: float
    end_s: float
    prediction: Prediction


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Began:
    """Somebody began to speak."""

    start_s: float


class Hearing:
    """One format and one way to find turns; a session that changes them begins another one."""

    def __init__(
        self, model: Model, kind: str, detection: Detection | None, voice: Callable[[int], VoiceActivity]
    ) -> None:
        """Begins with an empty buffer.

        Args:
            model: for sounds.
            kind: format of what comes in.
            detection: None: `commit` ends an utterance.
            voice: makes what tells speech from the rest, for a rate.
        """
        self._model = model
        self._rate = int(model.manifest.preprocess["rate"])
        self._resampler = Resampler(RATES[kind], self._rate)
        self._listener: Listener | None = None
        if detection is not None:
            self._listener = Listener(
                model, voice(self._rate), pause_s=detection.silence_ms / 1000, begins=detection.threshold
            )
        self._kept: list[FloatArray] = []
        # Where in all the sound of the session the buffer begins, and where it ends.
        self._start_s = self._length_s = 0.0
        self._has_begun = False

    @property
    def lead_ms(self) -> int:
        """What is heard before a voice begins, at most; 0 where the client says when an utterance ends."""
        return round(self._listener.lead_s * 1000) if self._listener else 0

    def feed(self, samples_S: FloatArray) -> list[Began | Utterance]:
        """The next sound; what began and what ended with it, in this order.

        Raises:
            ApiError: 400: more than a buffer holds that nobody commits.
        """
        samples = self._resampler.feed(samples_S)
        self._length_s += len(samples) / self._rate
        if self._listener is None:
            if self._length_s - self._start_s > LONGEST_S:
                raise invalid(f"The buffer holds {LONGEST_S:.0f} s. Commit or clear it.", "audio", "buffer_full")
            self._kept.append(samples)
            return []
        found: list[Began | Utterance] = []
        # One window at a time, so that a chunk which holds a whole word says when it began.
        for start in range(0, len(samples), self._listener.window):
            heard = self._listener.feed(samples[start : start + self._listener.window])
            since = heard[0].start_s if heard else self._listener.speaking_since_s
            if not self._has_begun and since is not None:
                self._has_begun = True
                found.append(Began(start_s=self._start_s + since))
            if heard:
                self._has_begun = False
                found += [self._utterance(each) for each in heard]
        return found

    def commit(self) -> Utterance:
        """Ends the utterance that is in the buffer.

        Raises:
            ApiError: 400: there is none, or less than can be one.
        """
        rest = self._resampler.feed(np.zeros(0, np.float32), is_last=True)
        self._length_s += len(rest) / self._rate
        if self._listener is not None:
            heard = [*self._listener.feed(rest), *self._listener.finish()]
            found = [self._utterance(each) for each in heard]
            # A listener that has finished counts from 0 again.
            self._start_s, self._has_begun = self._length_s, False
            if not found:
                raise self._empty()
            return found[-1]
        sound = np.concatenate([*self._kept, rest])
        start = self._start_s
        self._kept, self._start_s = [], self._length_s
        if len(sound) < LEAST_S * self._rate:
            raise self._empty()
        return Utterance(start_s=start, end_s=self._length_s, prediction=self._model.predict([sound])[0])

    def clear(self) -> None:
        """Forgets what is in the buffer."""
        self._resampler.feed(np.zeros(0, np.float32), is_last=True)
        self._kept, self._start_s, self._has_begun = [], self._length_s, False
        if self._listener is not None:
            self._listener.reset()

    def _utterance(self, heard: Heard) -> Utterance:
        return Utterance(
            start_s=self._start_s + heard.start_s, end_s=self._start_s + heard.end_s, prediction=heard.prediction
        )

    @staticmethod
    def _empty() -> Exception:
        return invalid(
            f"Error committing input audio buffer: expected at least {LEAST_S * 1000:.0f} ms of somebody's voice.",
            None,
            "input_audio_buffer_commit_empty",
        )
