"""Inputs that a device sends back for teaching: only with its owner's consent, only texts, and few."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from potstill.files import canonical_json, write_atomic
from potstill.fleet.device.place import Device
from potstill.fleet.device.state import Installed
from potstill.runtime import Prediction

NAME = "samples.json"
MAX_SAMPLES = 50
MAX_CHARACTERS = 2000
# What the student is unsure of teaches most; of the rest a small share shows what is usual.
UNSURE = 0.7
SHARE_OF_SURE = 0.01


def keep_sample(device: Device, text: str, prediction: Prediction, release: Installed | None) -> None:
    """Keeps an input that the student was unsure of, or one in a hundred of the others.

    Which of the others is decided by the text itself, so that the same one is never kept twice.
    """
    chance = int.from_bytes(hashlib.sha256(f"{device.id} {text}".encode()).digest()[:8], "big") / 2**64
    unsure = prediction.in_scope is False or prediction.probability < UNSURE
    if len(text) > MAX_CHARACTERS or (not unsure and chance >= SHARE_OF_SURE):
        return
    kept = read_samples(device)
    if len(kept) >= MAX_SAMPLES or any(sample["text"] == text for sample in kept):
        return
    sample = {
        "text": text,
        "label": prediction.label,
        "probability": prediction.probability,
        "in_scope": prediction.in_scope,
        "version": release.version if release else None,
    }
    write_atomic(device.folder / NAME, canonical_json([*kept, sample]))


def read_samples(device: Device) -> list[dict[str, Any]]:
    """What was kept and not sent; nothing where the file is damaged."""
    try:
        found = json.loads((device.folder / NAME).read_bytes())
        return [dict(sample) for sample in found if "text" in sample]
    except (OSError, ValueError, TypeError):
        return []


def clear_samples(device: Device) -> None:
    """Forgets what was sent."""
    (device.folder / NAME).unlink(missing_ok=True)
