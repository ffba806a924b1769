"""How a student does on a device: counts and figures of a window of predictions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

# Latencies that are kept; the newest ones, so the median is that of late.
MAX_LATENCIES = 256
MAX_CLASSES = 1000


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """A window.

    Attributes:
        num_predictions: answers, failed ones among them.
        num_errors: predictions that failed.
        latencies_ms: of the newest answers.
        sum_confidence, sum_squares: of the probabilities of the answers.
        classes: answer -> how often.
        num_out_of_scope: answers that looked like none of the classes.
    """

    num_predictions: int = 0
    num_errors: int = 0
    latencies_ms: tuple[float, ...] = ()
    sum_confidence: float = 0.0
    sum_squares: float = 0.0
    classes: Mapping[str, int] = field(default_factory=dict)
    num_out_of_scope: int = 0

    @property
    def num_answers(self) -> int:
        """Predictions that didn't fail."""
        return self.num_predictions - self.num_errors

    @property
    def latency_ms(self) -> float | None:
        """Median."""
        return statistics.median(self.latencies_ms) if self.latencies_ms else None

    @property
    def confidence(self) -> float | None:
        """Mean probability of the answers."""
        return self.sum_confidence / self.num_answers if self.num_answers else None

    @property
    def confidence_error(self) -> float:
        """Standard error of the mean probability."""
        count = self.num_answers
        if count < 2:
            return math.inf
        variance = max(0.0, self.sum_squares / count - (self.sum_confidence / count) ** 2)
        return math.sqrt(variance / (count - 1))

    def with_answer(self, label: str, confidence: float, latency_ms: float, *, in_scope: bool) -> Figures:
        """One more answer."""
        is_new = label not in self.classes
        key = label if not is_new or len(self.classes) < MAX_CLASSES else "(other)"
        return replace(
            self,
            num_predictions=self.num_predictions + 1,
            latencies_ms=(*self.latencies_ms, round(latency_ms, 4))[-MAX_LATENCIES:],
            sum_confidence=self.sum_confidence + confidence,
            sum_squares=self.sum_squares + confidence**2,
            classes={**self.classes, key: self.classes.get(key, 0) + 1},
            num_out_of_scope=self.num_out_of_scope + (not in_scope),
        )

    def with_error(self) -> Figures:
        """One more prediction that failed."""
        return replace(self, num_predictions=self.num_predictions + 1, num_errors=self.num_errors + 1)

    def since(self, before: Figures) -> Figures:
        """What came after an earlier state of the same window; all of it where the window began anew."""
        classes = {name: count - before.classes.get(name, 0) for name, count in self.classes.items()}
        counts = [
            self.num_predictions - before.num_predictions,
            self.num_errors - before.num_errors,
            self.num_out_of_scope - before.num_out_of_scope,
            *classes.values(),
        ]
        if min(counts) < 0:
            return self
        return replace(
            self,
            num_predictions=counts[0],
            num_errors=counts[1],
            num_out_of_scope=counts[2],
            sum_confidence=self.sum_confidence - before.sum_confidence,
            sum_squares=self.sum_squares - before.sum_squares,
            classes={name: count for name, count in classes.items() if count},
        )

    def plus(self, other: Figures) -> Figures:
        """Two windows together."""
        classes = dict(self.classes)
        for name, count in other.classes.items():
            if name in classes or len(classes) < MAX_CLASSES:
                classes[name] = classes.get(name, 0) + count
        return replace(
            self,
            num_predictions=self.num_predictions + other.num_predictions,
            num_errors=self.num_errors + other.num_errors,
            num_out_of_scope=self.num_out_of_scope + other.num_out_of_scope,
            latencies_ms=(*self.latencies_ms, *other.latencies_ms)[-MAX_LATENCIES:],
            sum_confidence=self.sum_confidence + other.sum_confidence,
            sum_squares=self.sum_squares + other.sum_squares,
            classes=classes,
        )

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "latencies_ms": list(self.latencies_ms), "classes": dict(self.classes)}

    def summary(self) -> dict[str, Any]:
        """Without the single latencies, for a report."""
        values = self.to_json()
        del values["latencies_ms"]
        return {**values, "latency_ms": self.latency_ms}


def parse_figures(values: Mapping[str, Any]) -> Figures:
    """Reads them; a report's summary has one latency.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: not in their form.
    """
    median = values.get("latency_ms")
    latencies = values.get("latencies_ms", [] if median is None else [median])
    found = Figures(
        num_predictions=int(values["num_predictions"]),
        num_errors=int(values["num_errors"]),
        latencies_ms=tuple(float(x) for x in latencies)[-MAX_LATENCIES:],
        sum_confidence=float(values["sum_confidence"]),
        sum_squares=float(values["sum_squares"]),
        classes={str(k)[:200]: int(v) for k, v in list(values["classes"].items())[: MAX_CLASSES + 1]},
        num_out_of_scope=int(values["num_out_of_scope"]),
    )
    numbers = [found.sum_confidence, found.sum_squares, *found.latencies_ms]
    counts = [found.num_predictions, found.num_errors, found.num_out_of_scope, *found.classes.values()]
    if not all(math.isfinite(x) for x in numbers) or min(counts) < 0 or found.num_errors > found.num_predictions:
        raise ValueError("counts that can't be")
    return found
