"""All metrics of a node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import BrokerOptionsError
from ..schema import snake
from .kinds import Counter, Gauge, Histogram, Labels, Metric
from .naming import Naming

BUCKETS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
"""Milliseconds."""
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)


class MetricRegistry:
    """Metrics by their names.

    Args:
        options: Moleculer's: `defaultBuckets`, `defaultQuantiles`, `defaultMaxAgeSeconds` (60), `defaultAgeBuckets` (10),
            `collectInterval` (5 s), `collectProcessMetrics` (True), `reporter`.
    """

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = {snake(str(name)): value for name, value in (options or {}).items()}
        self._metrics: dict[str, Metric] = {}

    def register(self, told: Mapping[str, Any]) -> Metric:
        """Adds a metric, or gives the one of its name.

        Args:
            told: `name`, `type` (`counter`, `gauge`, `histogram`, `info`), and `description`, `labelNames`, `unit`,
                `buckets`, `quantiles`.

        Raises:
            BrokerOptionsError: there is no such type.
        """
        given = {snake(str(name)): value for name, value in told.items()}
        known = self._metrics.get(given["name"])
        if known is not None:
            return known
        kind = given.get("type", "counter")
        metric: Metric
        if kind == "histogram":
            options = self.options
            metric = Histogram(
                given,
                options.get("default_buckets", BUCKETS),
                options.get("default_quantiles", QUANTILES),
                options.get("default_max_age_seconds", 60),
                options.get("default_age_buckets", 10),
            )
        elif kind in ("counter", "gauge", "info"):
            metric = {"counter": Counter, "gauge": Gauge, "info": Metric}[kind](given)
        else:
            raise BrokerOptionsError(f"the metric {given['name']}: {kind!r} is none of counter, gauge, histogram, info")
        self._metrics[metric.name] = metric
        return metric

    def increment(self, name: str, labels: Labels | None = None, value: float = 1) -> None:
        """Adds to a counter or gauge; a counter is made of a name that is not known."""
        metric = self._metrics.get(name) or self.register({"type": "counter", "name": name})
        if isinstance(metric, Gauge):
            metric.increment(labels, value)

    def decrement(self, name: str, labels: Labels | None = None, value: float = 1) -> None:
        """Takes from a gauge."""
        metric = self._metrics.get(name)
        if isinstance(metric, Gauge):
            metric.decrement(labels, value)

    def set(self, name: str, value: Any, labels: Labels | None = None) -> None:
        """Sets a gauge, or a fact; a gauge is made of a name that is not known."""
        (self._metrics.get(name) or self.register({"type": "gauge", "name": name})).set(value, labels)

    def observe(self, name: str, value: float, labels: Labels | None = None) -> None:
        """One more value of a histogram; one is made of a name that is not known."""
        metric = self._metrics.get(name) or self.register({"type": "histogram", "name": name})
        if isinstance(metric, Histogram):
            metric.observe(value, labels)

    def timer(self, name: str | None = None, labels: Labels | None = None) -> Callable[[], float]:
        """Takes a time, in milliseconds, until what it gives is called; a histogram of that name gets it."""
        began = time.perf_counter()

        def end() -> float:
            took = (time.perf_counter() - began) * 1000
            if name is not None:
                self.observe(name, took, labels)
            return took

        return end

    def get_metric(self, name: str) -> Metric | None:
        """A metric by its name."""
        return self._metrics.get(name)

    def all(self) -> Iterable[Metric]:
        """All metrics."""
        return list(self._metrics.values())

    def list(self, types: Any = None, includes: Any = None, excludes: Any = None) -> list[dict[str, Any]]:
        """All metrics as `$node.metrics` tells them.

        Args:
            types: of these types alone.
            includes, excludes: patterns of names.

        Raises:
            BrokerOptionsError: there is no such type.
        """
        naming = Naming(includes, excludes, types)
        return [metric.told() for metric in self._metrics.values() if naming.wants(metric.name, metric.kind)]

    def reset(self, name: str | None = None) -> None:
        """Forgets the values of a metric, or of all."""
        for metric in self._metrics.values():
            if name in (None, metric.name):
                metric.reset()
