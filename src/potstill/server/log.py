"""Structured logs: one line of JSON an event on stderr; no body, no header and no key ever stands in one."""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from typing import Any

_SECRET = re.compile(r"\b(sk|pk|key|hf|ghp)[-_][A-Za-z0-9_-]{8,}|(?i:bearer)\s+\S+|//[^/\s:@]+:[^/\s@]+@")


def log(event: str, **values: Any) -> None:
    """Writes one line; line breaks inside values are escaped by JSON, and what looks like a secret is left out."""
    line = json.dumps({"time": round(time.time(), 3), "event": event, **values}, default=str, ensure_ascii=True)
    sys.stderr.write(redact(line) + "\n")
    sys.stderr.flush()


def log_failure(event: str, error: BaseException, **values: Any) -> None:
    """The same with where it happened, but without the values that stood there."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
    log(event, error=type(error).__name__, message=str(error)[:300], places=places, **values)


def redact(text: str) -> str:
    """Without keys, tokens and passwords in addresses."""
    return _SECRET.sub("[left out]", text)
