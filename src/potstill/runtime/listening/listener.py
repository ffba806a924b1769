"""A model that listens. Shapes: S samples."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from potstill.errors import DataError
from potstill.runtime.listening.voice import VoiceActivity
from potstill.runtime.model import Model, Prediction
from potstill.types import FloatArray

# Speech begins above the one and ends this much below it, so that a wavering voice isn't cut in pieces.
BEGINS, WAVERS = 0.5, 0.15
# Shorter than this is a click.
LEAST_SPEECH_S = 0.06


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """One utterance.

    Attributes:
        start_s: where it begins in the stream, with the quiet before it that the model was given too.
        end_s: where it ends.
        prediction: what the model says of it.
    """

    start_s: float
    end_s: float
    prediction: Prediction


class Listener:
    """Finds utterances in a stream and has the model answer each.

    An utterance with what lies around it is given to the model as one sound, so that the answer is that of
    `Model.predict` on that sound, however the stream was cut into chunks. A stream that holds one utterance, and is no
    longer than the model looks at, is given to it whole.
    """

    def __init__(
        self,
        model: Model,
        voice: VoiceActivity | None,
        *,
        pause_s: float = 0.3,
        longest_s: float = 10.0,
        begins: float = BEGINS,
    ) -> None:
        """Starts with an empty stream.

        Args:
            model: for sounds.
            voice: tells speech from the rest; None hears the whole stream as one utterance when it ends.
            pause_s: of quiet that ends an utterance.
            longest_s: an utterance that goes on is answered after this long, and another one begins.
            begins: probability of speech above which an utterance begins.

        Raises:
            DataError: the model reads something else.
        """
        if model.modality != "audio":
            raise DataError(f"this model reads {model.modality}, and only a model for sounds can listen")
        self._model = model
        self._voice = voice
        self._rate = int(model.manifest.preprocess["rate"])
        self.window = voice.window if voice else self._rate
        """Samples that are looked at together."""
        self._begins, self._ends = begins, max(0.0, begins - WAVERS)
        seconds = self.window / self._rate
        # What was before a voice may belong to it, as far as the model looks.
        self._lead = max(1, round(float(model.manifest.preprocess["seconds"]) / seconds))
        self._pause = max(1, round(pause_s / seconds))
        self._longest = max(self._lead, round(longest_s / seconds))
        self._least = max(1, round(LEAST_SPEECH_S / seconds))
        self._kept: deque[FloatArray] = deque()
        self._rest = np.zeros(0, np.float32)
        self._position = self._spoken = self._quiet = 0
        self._speaking = False

    @property
    def lead_s(self) -> float:
        """What is heard before a voice begins, at most."""
        return self._lead * self.window / self._rate

    @property
    def speaking_since_s(self) -> float | None:
        """Where the utterance under way begins in the stream; None while nobody speaks, or for no more than a click."""
        if not self._speaking or self._spoken < self._least:
            return None
        return (self._position - len(self._kept)) * self.window / self._rate

    def feed(self, samples_S: FloatArray) -> list[Heard]:
        """The next samples, as many as there are; returns the utterances that ended with them.

        Raises:
            DataError: samples that are no finite numbers on one axis.
        """
        samples = np.asarray(samples_S, np.float32)
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise DataError(f"expected finite samples on one axis, got shape {samples.shape}")
        rest = np.concatenate([self._rest, samples])
        whole = len(rest) // self.window * self.window
        self._rest = rest[whole:]
        windows = rest[:whole].reshape(-1, self.window)
        return [heard for window in windows if (heard := self._hear(window)) is not None]

    def finish(self) -> list[Heard]:
        """Ends the stream; returns the utterance that was under way, if any. Another stream may follow."""
        heard = None
        if self._speaking or self._voice is None:
            heard = self._answer(self._rest)
        self.reset()
        return [heard] if heard else []

    def reset(self) -> None:
        """Forgets the stream and what is under way in it."""
        self._forget()
        self._rest = np.zeros(0, np.float32)
        self._position = 0
        if self._voice:
            self._voice.reset()

    def _hear(self, window_S: FloatArray) -> Heard | None:
        self._kept.append(window_S)
        self._position += 1
        if self._voice is None:
            return None
        probability = self._voice.probability(window_S)
        if not self._speaking and probability < self._begins:
            if len(self._kept) > self._lead:
                self._kept.popleft()
            return None
        self._speaking = True
        self._spoken += probability >= self._begins
        self._quiet = self._quiet + 1 if probability < self._ends else 0
        if self._quiet < self._pause and len(self._kept) < self._lead + self._longest:
            return None
        heard = self._answer()
        self._forget()
        return heard

    def _answer(self, rest_S: FloatArray | None = None) -> Heard | None:
        """What the model says of all that was kept; None for a click or nothing at all."""
        sound = np.concatenate([*self._kept, rest_S if rest_S is not None else np.zeros(0, np.float32)])
        if len(sound) == 0 or (self._voice is not None and self._spoken < self._least):
            return None
        start = (self._position - len(self._kept)) * self.window
        return Heard(
            start_s=start / self._rate,
            end_s=(start + len(sound)) / self._rate,
            prediction=self._model.predict([sound])[0],
        )

    def _forget(self) -> None:
        self._kept.clear()
        self._spoken = self._quiet = 0
        self._speaking = False
