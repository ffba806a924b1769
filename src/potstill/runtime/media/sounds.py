"""Sound files as arrays. Shape: S samples."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from potstill.errors import DataError, MissingExtraError

SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif")
# A spoken word is a second and a sentence ten; a file that is longer is no clip.
MAX_SECONDS = 120.0


def read_sound(source: bytes | Path, rate: int) -> NDArray[np.float32]:
    """One sound, its channels averaged, at the rate that is asked for.

    Args:
        source: the bytes of a file, or where it lies.
        rate: samples a second of the result.

    Returns:
        float32 in [-1, 1] or a little beyond, shape S.

    Raises:
        DataError: truncated, empty, too long, or no sound at all; the message says which.
        MissingExtraError: without soundfile, or without soxr where the rate has to change.
    """
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            if file.frames > MAX_SECONDS * file.samplerate:
                raise DataError(f"{file.frames / file.samplerate:.0f} s long, more than {MAX_SECONDS:.0f} s; cut it")
            found = int(file.samplerate)
            samples_SC = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError) as error:
        raise DataError(f"no whole sound that can be read ({str(error).splitlines()[0][:120]})") from error
    samples = samples_SC.mean(1, dtype=np.float32)
    if samples.size == 0:
        raise DataError("no samples")
    if not np.isfinite(samples).all():
        raise DataError("samples that are no numbers")
    return resampled(samples, found, rate)


def sound_file(samples_S: NDArray[Any], rate: int) -> bytes:
    """Samples in [-1, 1] as a 16-bit WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples_S, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def resampled(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """The same sound at another rate.

    Raises:
        MissingExtraError: without soxr.
    """
    if rate == wanted:
        return samples
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError("soxr", "audio") from error
    changed: NDArray[np.float32] = soxr.resample(samples, rate, wanted).astype(np.float32)
    return changed


def sound_rate(source: bytes | Path) -> int:
    """Samples a second of a file; 0 when it can't be read."""
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)) as file:
            return int(file.samplerate)
    except (soundfile.SoundFileError, RuntimeError, OSError, ValueError, TypeError):
        return 0


def _soundfile() -> Any:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("soundfile", "audio") from error
    return soundfile
