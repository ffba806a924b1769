"""Small stand-ins: coloured shapes as files, and beeps of three pitches."""

import io
import wave

import numpy as np
from PIL import Image

COLOURS = {"blue": (30, 40, 200), "green": (40, 180, 50), "red": (200, 50, 40)}
PITCHES = {"high": 1800.0, "low": 300.0, "middle": 800.0}
RATE = 8000


def pictures(num_rows, seed=0, size=12):
    """(uint8 array, label): a patch of the colour at a random place on noise."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(num_rows):
        label = sorted(COLOURS)[i % 3]
        array = random.integers(60, 140, (size, size, 3))
        y, x = random.integers(0, size - 5, 2)
        array[y : y + 5, x : x + 5] = COLOURS[label]
        rows.append((array.astype(np.uint8), label))
    return rows


def beeps(num_rows, seed=0, seconds=0.2):
    """(float32 samples at `RATE`, label, speaker): a tone in noise, each speaker a little off pitch."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(num_rows):
        label = sorted(PITCHES)[i % 3]
        speaker = i // 3 % 4
        time = np.arange(int(seconds * RATE)) / RATE
        tone = np.sin(2 * np.pi * PITCHES[label] * (1 + 0.02 * speaker) * time + random.uniform(0, 6))
        rows.append(((0.3 * tone + random.normal(0, 0.02, len(time))).astype(np.float32), label, f"speaker {speaker}"))
    return rows


def file_of(array, kind="PNG", **options):
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def wav_of(samples, rate=RATE, channels=1):
    """The bytes of a 16-bit WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def pcm_24k(samples):
    """Samples at `RATE` as a client of the realtime API sends them: 16 bits at 24 kHz."""
    times = np.arange(len(samples) * 24_000 // RATE) * RATE / 24_000
    return (np.interp(times, np.arange(len(samples)), samples) * 32767).astype("<i2").tobytes()
