"""Sounds as pictures of their loudness. Shapes: B batch, S samples, T frames, M mel bands, F frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from potstill.errors import DataError
from potstill.runtime.preprocess.base import Entry
from potstill.types import FloatArray, Input

# Quieter than this is silence; the logarithm needs a floor.
FLOOR = 1e-6


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class LogMel:
    """Natural logarithm of mel-filtered power spectra, counted from the loudest, (value - mean) / std.

    Frames are Hann-windowed (periodic) and stand at `hop` samples from the first sample on, without padding at the
    ends; filters are Slaney's triangles of equal area on the HTK mel scale (O'Shaughnessy 1987), as in
    torchaudio.transforms.MelSpectrogram(center=False, norm="slaney", mel_scale="htk").

    Attributes:
        rate: samples a second.
        seconds: length of what is looked at; shorter sounds get silence at the end, longer ones keep their loudest
            part of this length.
        window: samples a frame.
        hop: samples from frame to frame.
        num_mels: bands between `low` and half the rate.
        low: lowest frequency in Hz.
        mean: of the values.
        std: of the values.
        dynamic_range: in nats; values are counted from the loudest of their sound, and what lies further below it than
            this is raised to it, so that a quiet voice and a loud one in quiet and loud rooms look alike. 0 keeps
            levels as they are.
    """

    rate: int
    seconds: float
    window: int
    hop: int
    num_mels: int
    low: float = 20.0
    mean: float = 0.0
    std: float = 1.0
    dynamic_range: float = 0.0
    kind: Literal["log_mel"] = field(default="log_mel")

    @property
    def num_samples(self) -> int:
        """Samples that are looked at."""
        return round(self.rate * self.seconds)

    @property
    def num_frames(self) -> int:
        """Frames of one sound."""
        return 1 + max(0, self.num_samples - self.window) // self.hop

    def encode(self, inputs: Sequence[Input]) -> list[FloatArray]:
        """Log-mel values, float32, M x T."""
        return [self._encode(value, position) for position, value in enumerate(inputs)]

    def length(self, encoded: FloatArray) -> int:
        """All sounds are alike."""
        return 1

    def batch(self, encoded: Sequence[FloatArray]) -> dict[str, NDArray[Any]]:
        """`pixels`: float32, B x 1 x M x T; to a network a spectrogram is a grey picture."""
        stacked = (np.stack(list(encoded)) - np.float32(self.mean)) / np.float32(self.std)
        return {"pixels": stacked[:, None].astype(np.float32)}

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def save(self, folder: Path) -> dict[str, Any]:
        """Needs no file."""
        return self.to_json()

    @classmethod
    def from_entry(cls, entry: Entry, files: dict[str, bytes]) -> LogMel:
        """Reads what `save` returned."""
        found = cls(
            rate=int(entry["rate"]),
            seconds=float(entry["seconds"]),
            window=int(entry["window"]),
            hop=int(entry["hop"]),
            num_mels=int(entry["num_mels"]),
            low=float(entry["low"]),
            mean=float(entry["mean"]),
            std=float(entry["std"]),
            dynamic_range=float(entry["dynamic_range"]),
        )
        if not (1 <= found.window <= 1 << 16 and 1 <= found.hop <= 1 << 16 and 1 <= found.num_mels <= 512):
            raise ValueError("window, hop and num_mels of a log-mel spectrum")
        if not (1000 <= found.rate <= 384_000 and 0 < found.seconds <= 600 and found.std > 0):
            raise ValueError("rate, seconds and std of a log-mel spectrum")
        if not 0 <= found.dynamic_range <= 1000:
            raise ValueError("dynamic range of a log-mel spectrum")
        return found

    def spectrum(self, samples_S: FloatArray) -> FloatArray:
        """Log-mel values of a sound of any length that holds at least one frame, before scaling, T x M."""
        size = 1 << (self.window - 1).bit_length()
        frames_TW = np.lib.stride_tricks.sliding_window_view(samples_S, self.window)[:: self.hop]
        power_TF = np.abs(np.fft.rfft(frames_TW * _hann(self.window), size)) ** 2
        mel_TM = power_TF @ mel_filters(self.rate, size, self.num_mels, self.low)
        logs: FloatArray = np.log(mel_TM + FLOOR).astype(np.float32)
        return logs

    def _encode(self, value: Input, position: int) -> FloatArray:
        if isinstance(value, str) or value.ndim != 1 or value.dtype.kind != "f":
            came = "a text" if isinstance(value, str) else f"an array of {value.dtype}, shape {value.shape}"
            raise DataError(
                f"input {position} is {came}; this model reads sounds: one axis of float samples at {self.rate} Hz"
            )
        values_MT = self.spectrum(fitted(value, self.num_samples)).T
        if self.dynamic_range:
            values_MT = np.maximum(values_MT - values_MT.max(), -self.dynamic_range)
        return np.ascontiguousarray(values_MT, np.float32)


def fitted(samples: FloatArray, length: int) -> FloatArray:
    """Silence at the end of a short sound; of a long one the part with the most energy."""
    if len(samples) <= length:
        return np.pad(samples, (0, length - len(samples)))
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]


@lru_cache(maxsize=8)
def _hann(window: int) -> FloatArray:
    values: FloatArray = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return values


@lru_cache(maxsize=8)
def mel_filters(rate: int, size: int, num_mels: int, low: float) -> FloatArray:
    """Triangles of equal area, F x M, for a Fourier transform of `size` samples."""
    frequencies = np.linspace(0, rate / 2, size // 2 + 1)
    low_mel, high_mel = (2595 * np.log10(1 + hz / 700) for hz in (low, rate / 2))
    edges = 700 * (10 ** (np.linspace(low_mel, high_mel, num_mels + 2) / 2595) - 1)
    rising = (frequencies[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies[:, None]) / (edges[2:] - edges[1:-1])
    triangles: FloatArray = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))
    return triangles
