"""Numbers as a report writes them."""

from __future__ import annotations

import math


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent."""
    return "-" if value is None or math.isnan(value) else f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    """A difference of two shares, in percentage points with its sign."""
    return f"{100 * value:+.1f}"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def whole(value: float | None) -> str:
    """A whole number with separators."""
    return "-" if value is None else f"{value:,.0f}"


def size(num_bytes: float | None) -> str:
    """Bytes in the unit that reads best; 1 MB is 1,000,000 bytes."""
    if num_bytes is None:
        return "-"
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.2f} {unit}"
    return f"{num_bytes:.0f} B"


def probability(value: float) -> str:
    """A p-value with its sign of equality."""
    return "< 0.0001" if value < 0.0001 else f"= {value:.4f}"


def interval(ends: tuple[float, float] | None) -> str:
    """An interval of shares."""
    return "" if ends is None else f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}] %"
