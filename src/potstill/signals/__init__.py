"""Signals: what teachers say, kept so that nothing is asked twice."""

from potstill.signals.capture import Capture, capture
from potstill.signals.project import project
from potstill.signals.store import Entry, Store, default_root
from potstill.signals.token_capture import TokenCapture, TokenPart, TokenSample, TokenTeacher, capture_tokens

__all__ = [
    "Capture",
    "Entry",
    "Store",
    "TokenCapture",
    "TokenPart",
    "TokenSample",
    "TokenTeacher",
    "capture",
    "capture_tokens",
    "default_root",
    "project",
]
