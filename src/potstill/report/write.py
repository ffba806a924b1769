"""Writes a report."""

from __future__ import annotations

from pathlib import Path

from potstill.report.content import ReportContent


def write_report(folder: Path, content: ReportContent, *, language: str = "en") -> dict[str, Path]:
    """Stand-in."""
    return {}
