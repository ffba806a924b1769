"""Inputs that a device sends back for teaching: only with its owner's consent, few, and small.

Texts go as they are. Of a picture goes what the student saw: in its size, as a PNG file; of a sound its loudest part of
the student's length, as a WAV file. They lie in the report itself, so they are signed and counted with it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import numpy as np

from potstill.files import canonical_json, write_atomic
from potstill.fleet.device.place import Device
from potstill.fleet.device.state import Installed
from potstill.fleet.formats.report import MAX_SAMPLES_BYTES, SAMPLE_KINDS
from potstill.runtime import Prediction
from potstill.runtime.media import png, sound_file
from potstill.runtime.preprocess import LogMel, Pixels, Preprocessor
from potstill.runtime.preprocess.log_mel import fitted
from potstill.types import Input

NAME = "samples.json"
MAX_SAMPLES = 50
MAX_CHARACTERS = 2000
# What the student is unsure of teaches most; of the rest a small share shows what is usual.
UNSURE = 0.7
SHARE_OF_SURE = 0.01


def keep_sample(
    device: Device, value: Input, prediction: Prediction, release: Installed | None, preprocessor: Preprocessor
) -> None:
    """Keeps an input that the student was unsure of, or one in a hundred of the others.

    Which of the others is decided by the input itself, so that the same one is never kept twice.
    """
    content = value.encode() if isinstance(value, str) else value.tobytes()
    chance = int.from_bytes(hashlib.sha256(f"{device.id} ".encode() + content).digest()[:8], "big") / 2**64
    unsure = prediction.in_scope is False or prediction.probability < UNSURE
    if not unsure and chance >= SHARE_OF_SURE:
        return
    sample = _sample(value, preprocessor)
    kept = read_samples(device)
    if sample is None or len(kept) >= MAX_SAMPLES or any(sample.items() <= other.items() for other in kept):
        return
    about = {
        "label": prediction.label,
        "probability": prediction.probability,
        "in_scope": prediction.in_scope,
        "version": release.version if release else None,
    }
    written = canonical_json([*kept, {**sample, **about}])
    if len(written) <= MAX_SAMPLES_BYTES:
        write_atomic(device.folder / NAME, written)


def _sample(value: Input, preprocessor: Preprocessor) -> dict[str, str] | None:
    """What is sent of an input, under the name of its kind; None for what can't be."""
    if isinstance(value, str):
        return {"text": value} if len(value) <= MAX_CHARACTERS else None
    # Grey arrays have a scale of their own, which no file of a picture has.
    if isinstance(preprocessor, Pixels) and preprocessor.channels == 3 and value.dtype == np.uint8:
        return {"picture": _as_text(png(preprocessor.encode([value])[0]))}
    if isinstance(preprocessor, LogMel):
        return {"sound": _as_text(sound_file(fitted(value, preprocessor.num_samples), preprocessor.rate))}
    return None


def _as_text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def read_samples(device: Device) -> list[dict[str, Any]]:
    """What was kept and not sent; nothing where the file is damaged."""
    try:
        found = json.loads((device.folder / NAME).read_bytes())
        return [dict(sample) for sample in found if set(SAMPLE_KINDS) & set(sample)]
    except (OSError, ValueError, TypeError):
        return []


def clear_samples(device: Device) -> None:
    """Forgets what was sent."""
    (device.folder / NAME).unlink(missing_ok=True)
