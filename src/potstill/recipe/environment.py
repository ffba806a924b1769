"""What a run ran on, for its report."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("potstill", "torch", "onnxruntime", "onnx", "tokenizers", "numpy")


def environment(device: str, precision: str) -> dict[str, str]:
    """Versions and machine, by name."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "device": device,
        "training precision": precision,
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
