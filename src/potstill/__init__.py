"""Potstill: distil a big model into a small one that your device can run.

The names below load what they need when they are first used, so that `import potstill.runtime` stays light on a
device.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.data import DataOptions, load_data
    from potstill.evaluation.assess import assess
    from potstill.recipe.distilling import distill
    from potstill.recipe.load import load_recipe
    from potstill.recipe.recipe import Recipe
    from potstill.recipe.run import Run, run
    from potstill.report import write_report
    from potstill.runtime import load
    from potstill.signals import capture
    from potstill.training.loop import train

__version__ = "0.1.0"

# name -> module that holds it
_PUBLIC = {
    "DataOptions": "potstill.data",
    "Recipe": "potstill.recipe",
    "Run": "potstill.recipe",
    "assess": "potstill.evaluation.assess",
    "capture": "potstill.signals",
    "distill": "potstill.recipe.distilling",
    "load": "potstill.runtime",
    "load_data": "potstill.data",
    "load_recipe": "potstill.recipe.load",
    "run": "potstill.recipe",
    "train": "potstill.training.loop",
    "write_report": "potstill.report",
}

__all__ = [
    "DataOptions",
    "Recipe",
    "Run",
    "__version__",
    "assess",
    "capture",
    "distill",
    "load",
    "load_data",
    "load_recipe",
    "run",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'potstill' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
