"""Signals: what teachers say, kept so that nothing is asked twice."""

from potstill.signals.capture import Capture, capture
from potstill.signals.project import project
from potstill.signals.store import Entry, Store, default_root

__all__ = ["Capture", "Entry", "Store", "capture", "default_root", "project"]
