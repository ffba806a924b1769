"""Counters for Prometheus; labels are routes and never what a client chose, so their number is bounded."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """What one server counts."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "potstill_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "potstill_request_seconds", "Time of an answer.", ("route",), registry=registry, buckets=SECONDS
        )
        self.teacher_seconds = Histogram(
            "potstill_teacher_seconds", "Time of a teacher.", ("teacher",), registry=registry, buckets=SECONDS
        )
        self.tokens = Counter("potstill_tokens", "Tokens by who answered.", ("answerer", "kind"), registry=registry)
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._tokens: dict[tuple[str, str], Counter] = {}
        self.stored = Counter("potstill_stored_completions", "Chat completions stored.", registry=registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request."""
        found = self._answered.get((method, route, status))
        if found is None:
            # Looking a child up by its labels costs more than counting.
            found = self.requests.labels(method, route, status), self.seconds.labels(route)
            self._answered[method, route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def used(self, answerer: str, kind: str, num_tokens: int) -> None:
        """Counts tokens."""
        found = self._tokens.get((answerer, kind))
        if found is None:
            found = self._tokens[answerer, kind] = self.tokens.labels(answerer, kind)
        found.inc(num_tokens)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
