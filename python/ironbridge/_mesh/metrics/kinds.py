"""Kinds of metrics: counters, gauges, histograms, and facts."""

from __future__ import annotations

import time
from bisect import insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Labels = Mapping[str, Any]
Key = tuple[Any, ...]

_MOST_SAMPLES = 1_000
"""Values of a histogram that its quantiles are taken of, in each span of its time."""


class Metric:
    """One metric, with a value for each set of labels.

    Args:
        told: what it was registered with: `name`, `description`, `unit`, `label_names`.
    """

    kind = "info"

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.name: str = told["name"]
        self.description: str | None = told.get("description")
        self.unit: str | None = told.get("unit")
        self.label_names: tuple[str, ...] = tuple(told.get("label_names") or ())
        self._values: dict[Key, Any] = {}

    def key(self, labels: Labels | None) -> Key:
        """Which value labels mean."""
        given = labels or {}
        return tuple(given.get(name) for name in self.label_names)

    def labels(self, key: Key) -> dict[str, Any]:
        """The labels of a value."""
        return dict(zip(self.label_names, key, strict=True))

    def set(self, value: Any, labels: Labels | None = None) -> None:
        """Sets a value."""
        self._values[self.key(labels)] = value

    def get(self, labels: Labels | None = None) -> Any:
        """A value; `None` when there is none yet."""
        return self._values.get(self.key(labels))

    def reset(self) -> None:
        """Forgets all values."""
        self._values.clear()

    def told(self) -> dict[str, Any]:
        """As `$node.metrics` tells it."""
        return {
            "type": self.kind,
            "name": self.name,
            "description": self.description,
            "labelNames": list(self.label_names),
            "unit": self.unit,
            "values": [{**self._value(key), "labels": self.labels(key)} for key in list(self._values)],
        }

    def _value(self, key: Key) -> dict[str, Any]:
        return {"value": self._values[key]}

    def samples(self) -> Iterable[tuple[str, dict[str, Any], Any]]:
        """What Prometheus is told: `(what is added to the name, labels, value)` each."""
        for key, value in list(self._values.items()):
            yield "", self.labels(key), value


class Gauge(Metric):
    """A value that goes up and down."""

    kind = "gauge"

    def increment(self, labels: Labels | None = None, by: float = 1) -> None:
        """Adds to a value."""
        key = self.key(labels)
        self._values[key] = self._values.get(key, 0) + by

    def decrement(self, labels: Labels | None = None, by: float = 1) -> None:
        """Takes from a value."""
        self.increment(labels, -by)


class Counter(Gauge):
    """A value that only grows."""

    kind = "counter"

    def decrement(self, labels: Labels | None = None, by: float = 1) -> None:
        """A counter does not fall.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self.name} is a counter: it only grows")


class Histogram(Metric):
    """How values are spread: over buckets, and over the quantiles of the last minute."""

    kind = "histogram"

    def __init__(
        self, told: Mapping[str, Any], buckets: Sequence[float], quantiles: Sequence[float], max_age: float, ages: int
    ) -> None:
        super().__init__(told)
        self.buckets = tuple(told.get("buckets") or buckets)
        self.quantiles = tuple(told.get("quantiles") or quantiles)
        self._span, self._ages = max_age / max(1, ages), max(1, ages)

    def observe(self, value: float, labels: Labels | None = None) -> None:
        """One more value."""
        key = self.key(labels)
        spread = self._values.get(key)
        if spread is None:
            spread = self._values[key] = _Spread(len(self.buckets), self._ages)
        spread.add(value, self.buckets, int(time.monotonic() / self._span))

    def _value(self, key: Key) -> dict[str, Any]:
        spread: _Spread = self._values[key]
        values = spread.last(int(time.monotonic() / self._span), self._ages)
        mean = sum(values) / len(values) if values else None
        varies = _variance(values, mean) if mean is not None else None
        return {
            "count": spread.count,
            "sum": spread.sum,
            "lastValue": spread.latest,
            "buckets": dict(zip(map(str, self.buckets), spread.counts, strict=True)),
            "quantiles": {str(one): _quantile(values, one) for one in self.quantiles},
            "min": values[0] if values else None,
            "max": values[-1] if values else None,
            "mean": mean,
            "variance": varies,
            "stdDev": varies**0.5 if varies else None,
        }

    def samples(self) -> Iterable[tuple[str, dict[str, Any], Any]]:
        """Its buckets, sum and count, and its quantiles."""
        for key, spread in list(self._values.items()):
            labels = self.labels(key)
            for bound, count in zip(self.buckets, spread.counts, strict=True):
                yield "_bucket", {**labels, "le": bound}, count
            yield "_bucket", {**labels, "le": "+Inf"}, spread.count
            yield "_sum", labels, spread.sum
            yield "_count", labels, spread.count


class _Spread:
    """The values of one set of labels."""

    def __init__(self, buckets: int, ages: int) -> None:
        self.count, self.sum, self.latest = 0, 0.0, 0.0
        self.counts = [0] * buckets
        self._spans: deque[tuple[int, list[float]]] = deque(maxlen=ages)

    def add(self, value: float, buckets: Sequence[float], span: int) -> None:
        self.count += 1
        self.sum += value
        self.latest = value
        for index, bound in enumerate(buckets):
            if value <= bound:
                self.counts[index] += 1
        if not self._spans or self._spans[-1][0] != span:
            self._spans.append((span, []))
        values = self._spans[-1][1]
        if len(values) < _MOST_SAMPLES:
            insort(values, value)

    def last(self, span: int, ages: int) -> list[float]:
        """The values of the last spans, in order."""
        return sorted(value for at, values in self._spans if at > span - ages for value in values)


def _variance(values: Sequence[float], mean: float) -> float | None:
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1) if len(values) > 1 else None


def _quantile(values: Sequence[float], share: float) -> float | None:
    return values[min(len(values) - 1, int(len(values) * share))] if values else None
