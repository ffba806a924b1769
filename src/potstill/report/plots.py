"""Plots as SVG, in the colours of Okabe & Ito and with a shape for each contender, so that nobody needs colour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from potstill.report.markup import escape, tag

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a8a8a")
WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 44


@dataclass(frozen=True)
class Series:
    """One contender's points.

    Attributes:
        name: in the legend.
        points: (x, y).
        low: lower ends of intervals of y, empty for none.
        high: upper ends.
        joined: draw a line through the points.
    """

    name: str
    points: Sequence[tuple[float, float]]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    joined: bool = False


def plot(
    series: Sequence[Series], *, title: str, x_name: str, y_name: str, log_x: bool = False, diagonal: bool = False
) -> str:
    """A plot of points or lines with a legend."""
    points = [p for s in series for p in s.points] + [(s.points[0][0], y) for s in series for y in (*s.low, *s.high)]
    if not points:
        return ""
    x_axis = _Axis.over([x for x, _ in points], LEFT, WIDTH - RIGHT, log=log_x)
    y_axis = _Axis.over([y for _, y in points], HEIGHT - BOTTOM, TOP, log=False)
    if diagonal:
        x_axis, y_axis = _Axis(0, 1, LEFT, WIDTH - RIGHT), _Axis(0, 1, HEIGHT - BOTTOM, TOP)
    parts = [_grid(x_axis, y_axis, x_name, y_name)]
    if diagonal:
        parts.append(_line([(0, 0), (1, 1)], x_axis, y_axis, "currentColor", dash="3 4"))
    for i, s in enumerate(series):
        parts.append(_drawn(s, i, x_axis, y_axis))
    body = tag("title", escape(title)) + "".join(parts)
    picture = tag("svg", body, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")
    return tag("figure", picture, _legend([s.name for s in series]))


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, log: bool) -> _Axis:
        low, high = min(values), max(values)
        if log:
            low, high = math.log10(low), math.log10(high)
        room = (high - low) * 0.08 or 0.5 * (abs(high) or 1) * 0.1
        return cls(low - room, high + room, start, end, log)

    def place(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        return round(self.start + (at - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        if self.log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            found = [m * 10.0**p for p in powers for m in (1, 3) if self.low <= math.log10(m * 10.0**p) <= self.high]
            if len(found) >= 2:
                return found
            return [10**self.low * 1.001, 10 ** ((self.low + self.high) / 2), 10**self.high * 0.999]
        span = self.high - self.low
        step = 10 ** math.floor(math.log10(span / 3))
        step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= 6)
        first = math.ceil(self.low / step)
        return [i * step for i in range(first, math.floor(self.high / step) + 1)]


def _grid(x_axis: _Axis, y_axis: _Axis, x_name: str, y_name: str) -> str:
    bottom = HEIGHT - BOTTOM
    parts = []
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{_short(value)}</text>')
    for value in x_axis.ticks():
        x = x_axis.place(value)
        parts.append(f'<path d="M{x} {TOP}V{bottom}" class="grid"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{_short(value)}</text>')
    middle = (TOP + bottom) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_name)}</text>'
    )
    parts.append(f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>')
    return "".join(parts)


def _drawn(s: Series, number: int, x_axis: _Axis, y_axis: _Axis) -> str:
    colour = COLOURS[number % len(COLOURS)]
    parts = []
    if s.joined:
        parts.append(_line(s.points, x_axis, y_axis, colour))
    for i, (x, y) in enumerate(s.points):
        px, py = x_axis.place(x), y_axis.place(y)
        if s.low:
            ends = f"M{px} {y_axis.place(s.low[i])}V{y_axis.place(s.high[i])}"
            parts.append(f'<path d="{ends}" stroke="{colour}" stroke-width="1.5"/>')
        if not s.joined or len(s.points) <= 25:
            parts.append(_mark(number, px, py, 3.5 if s.joined else 6, colour))
    return "".join(parts)


def _line(points: Sequence[tuple[float, float]], x_axis: _Axis, y_axis: _Axis, colour: str, dash: str = "") -> str:
    path = " ".join(f"{'L' if i else 'M'}{x_axis.place(x)} {y_axis.place(y)}" for i, (x, y) in enumerate(points))
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashed}/>'


def _mark(number: int, x: float, y: float, r: float, colour: str) -> str:
    shapes = (
        f"M{x - r} {y}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0",
        f"M{x - r} {y - r}h{2 * r}v{2 * r}h{-2 * r}z",
        f"M{x} {y - r}L{x + r} {y + r}H{x - r}z",
        f"M{x} {y - r}L{x + r} {y}L{x} {y + r}L{x - r} {y}z",
        f"M{x} {y + r}L{x + r} {y - r}H{x - r}z",
        f"M{x - r} {y - r / 3}h{2 * r}v{r * 2 / 3}h{-2 * r}z",
        f"M{x - r / 3} {y - r}h{r * 2 / 3}v{2 * r}h{-r * 2 / 3}z",
    )
    return f'<path d="{shapes[number % len(shapes)]}" fill="{colour}"/>'


def _legend(names: Sequence[str]) -> str:
    entries = []
    for i, name in enumerate(names):
        mark = tag(
            "svg", _mark(i, 8, 8, 5, COLOURS[i % len(COLOURS)]), viewBox="0 0 16 16", class_="key", aria_hidden="true"
        )
        entries.append(tag("span", mark, escape(name)))
    return tag("figcaption", *entries)


def _short(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"


def bars(values: Mapping[str, float], *, title: str) -> str:
    """Horizontal bars around zero, in the order given; below zero in another colour and to the left."""
    row, left = 18, 190
    height = row * len(values) + 10
    largest = max((abs(v) for v in values.values()), default=0) or 1
    middle, half = left + (WIDTH - left) / 2, (WIDTH - left) / 2 - 44
    parts = [tag("title", escape(title)), f'<path d="M{middle} 0V{height}" class="grid"/>']
    for i, (name, value) in enumerate(values.items()):
        y = i * row + 5
        length = round(abs(value) / largest * half, 1)
        x = middle if value >= 0 else middle - length
        colour = COLOURS[0] if value >= 0 else COLOURS[1]
        label = name if len(name) <= 28 else name[:27] + "…"
        parts.append(f'<rect x="{x}" y="{y}" width="{length}" height="{row - 5}" fill="{colour}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{escape(label)}</text>')
        at, anchor = (middle + length + 4, "start") if value >= 0 else (middle - length - 4, "end")
        parts.append(f'<text x="{at}" y="{y + 11}" text-anchor="{anchor}">{100 * value:+.1f}</text>')
    return tag("figure", tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img"))
