"""Which metrics a reporter tells of, and under which names: what Moleculer's reporters can be told alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..bus import matches
from ..errors import BrokerOptionsError

Formatter = Callable[[str], str]


class Naming:
    """A choice of metrics, and their names.

    Args:
        includes, excludes: patterns of names (`*` one part, `**` any number); all unless given.
        types: `counter`, `gauge`, `histogram`, `info`; all unless given.
        metric_name_prefix, metric_name_suffix: put around each name.
        metric_name_formatter: gives the name that is told for that one.
        label_name_formatter: gives the label's name that is told for its own.
        default_labels: those that all values have, or a function of the registry that gives them; the namespace and the
            node unless given.

    Raises:
        BrokerOptionsError: a formatter cannot be called, or there is no such type.
    """

    def __init__(
        self,
        includes: Any = None,
        excludes: Any = None,
        types: Any = None,
        metric_name_prefix: str | None = None,
        metric_name_suffix: str | None = None,
        metric_name_formatter: Formatter | None = None,
        label_name_formatter: Formatter | None = None,
        default_labels: Any = None,
    ) -> None:
        for name, function in (("metric_name", metric_name_formatter), ("label_name", label_name_formatter)):
            if function is not None and not callable(function):
                raise BrokerOptionsError(f"metrics: {name}_formatter={function!r} is no function")
        self._includes, self._excludes, self._types = (listed(one) for one in (includes, excludes, types))
        for kind in self._types:
            if kind not in ("counter", "gauge", "histogram", "info"):
                raise BrokerOptionsError(f"metrics: types={types!r}: there are counter, gauge, histogram and info")
        self._prefix, self._suffix = metric_name_prefix or "", metric_name_suffix or ""
        self._name, self._label = metric_name_formatter, label_name_formatter
        self._labels = default_labels

    def wants(self, name: str, kind: str) -> bool:
        """Whether a metric of that name and type is told."""
        return (
            (not self._types or kind in self._types)
            and (not self._includes or any(matches(one, name) for one in self._includes))
            and not any(matches(one, name) for one in self._excludes)
        )

    def named(self, name: str) -> str:
        """The name that is told."""
        whole = f"{self._prefix}{name}{self._suffix}"
        return self._name(whole) if self._name is not None else whole

    def label(self, name: str) -> str:
        """The label's name that is told."""
        return self._label(name) if self._label is not None else name

    def labels(self, broker: Any, own: Mapping[str, Any]) -> dict[str, Any]:
        """The labels of a value as they are told, those of all values first."""
        usual = self._labels
        if usual is None:
            usual = {"namespace": broker.namespace, "nodeID": broker.node_id}
        elif callable(usual):
            usual = usual(broker.metrics)
        return {self.label(name): value for name, value in {**usual, **own}.items()}


def listed(given: Any) -> list[Any]:
    """What is given as one, as several, or not at all."""
    return [] if given is None else [given] if isinstance(given, str) else list(given)
