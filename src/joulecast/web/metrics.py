"""What Prometheus reads of a server, in base units: requests, their time, rows answered, what was predicted.

Predictions are counted where one is asked for alone, as a gateway does before each request; no metric of a
prediction has a name that means a measurement.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, generate_latest

from joulecast import __version__

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = ("GET", "HEAD", "POST")
OTHER: Final = "other"
MOST_SERIES: Final = 1_000  # of models, GPUs and runtimes; what comes after them is counted together


class Work(NamedTuple):
    """What was predicted of a batch: labels as of OF_WORK, outputs, and joules with their ends."""

    labels: tuple[str, str, str, str, str]
    outputs: int
    energy_j: float
    energy_low_j: float
    energy_high_j: float


OF_WORK: Final = ("model", "gpu", "runtime", "boundary", "output")


class Metrics:
    """The counts of one server. Labels are bounded: its routes and methods, and all others together."""

    def __init__(self, routes: Collection[str], law: str) -> None:
        self.routes = frozenset(routes)
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "joulecast_http_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "joulecast_http_request_duration_seconds",
            "Time from a request's headers to the end of its answer.",
            ("route",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._rows = Counter(
            "joulecast_estimates",
            "Estimates answered, rows of batches each.",
            ("route",),
            registry=self.registry,
        )
        self._work = {
            name: Counter(f"joulecast_predicted_{name}", words, OF_WORK, registry=self.registry)
            for name, words in (
                ("outputs", "Images or clips of which an estimate was asked for alone."),
                ("energy_joules", "Predicted GPU energy of them."),
                ("energy_low_joules", "The lower end of its 90 % interval."),
                ("energy_high_joules", "The upper end of its 90 % interval."),
            )
        }
        self._series: dict[tuple[str, ...], list[Counter]] = {}
        Info("joulecast_build", "Version and default law.", registry=self.registry).info(
            {"version": __version__, "law": law}
        )
        self._known: dict[tuple[str, str, int], Counter] = {}
        self._times: dict[str, Histogram] = {}

    def answered(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count an answer."""
        route = path if path in self.routes else OTHER
        key = route, method if method in METHODS else OTHER, status
        if key not in self._known:
            self._known[key] = self._requests.labels(*key)
            self._times[route] = self._seconds.labels(route)
        self._known[key].inc()
        self._times[route].observe(seconds)

    def estimated(self, route: str, rows: int = 1) -> None:
        """Count estimates."""
        self._rows.labels(route).inc(rows)

    def predicted(self, work: Work) -> None:
        """Count what one estimate said of a batch."""
        labels, *amounts = work
        if labels not in self._series:
            if len(self._series) >= MOST_SERIES:
                labels = (OTHER, OTHER, OTHER, *labels[3:])
            self._series[labels] = [counter.labels(*labels) for counter in self._work.values()]
        for counter, amount in zip(self._series[labels], amounts, strict=True):
            counter.inc(amount)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
