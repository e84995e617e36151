"""What a reporter of metrics is, and those that tell of them now and then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BrokerOptionsError

_PATIENCE = 5.0
"""Seconds for the last report."""


class Reporter:
    """Tells of the metrics now and then; derive from it for one of your own.

    Args:
        interval: seconds between two times; 0: only when the broker stops.
        includes, excludes, types: patterns of names, and types, of the metrics it tells of; all unless given.
        metric_name_prefix, metric_name_suffix: put around each name.
        default_labels: those that all values have; the namespace and the node unless given.

    Raises:
        BrokerOptionsError: the interval is no number, or negative.
    """

    def __init__(
        self,
        interval: float = 5,
        includes: Any = None,
        excludes: Any = None,
        types: Any = None,
        metric_name_prefix: str = "",
        metric_name_suffix: str = "",
        default_labels: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int | float) or interval < 0:
            raise BrokerOptionsError(f"metrics: interval={interval!r}; it is a number that is not negative")
        self._interval, self._asked = float(interval), (types, includes, excludes)
        self._prefix, self._suffix, self._labels = metric_name_prefix, metric_name_suffix, default_labels
        self._task: asyncio.Task[None] | None = None

    def init(self, broker: Any, collect: Callable[[], None]) -> None:
        """Called once, with whose metrics they are and what looks at the process anew."""
        self.broker, self._collect = broker, collect
        self.logger = broker.get_logger("metrics")

    async def report(self, metrics: list[dict[str, Any]]) -> None:
        """Tells of these, in the form of `$node.metrics`.

        Raises:
            OSError: nobody took them; that is logged.
        """
        raise NotImplementedError

    async def start(self) -> None:
        """Begins to tell."""
        self._task = asyncio.create_task(self._tell_often())

    async def close(self) -> None:
        """Tells for the last time, for a few seconds at most."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        try:
            await asyncio.wait_for(self.tell(), _PATIENCE)
        except TimeoutError:
            self.logger.warning("the last metrics could not be told within %g seconds", _PATIENCE)

    async def tell(self) -> None:
        """Tells of all now."""
        self._collect()
        metrics = [one for one in self.broker.metrics.list(*self._asked) if one["values"]]
        try:
            await self.report(metrics)
        except OSError as error:
            self.logger.warning("%d metrics could not be told: %s", len(metrics), error)
        except Exception:
            self.logger.exception("%d metrics could not be told", len(metrics))

    def named(self, name: str) -> str:
        """The name that is told."""
        return f"{self._prefix}{name}{self._suffix}"

    def tags(self, labels: Mapping[str, Any]) -> list[str]:
        """Labels as `name:value`, those of all values first."""
        usual = {"namespace": self.broker.namespace, "nodeID": self.broker.node_id}
        both = {**(usual if self._labels is None else self._labels), **labels}
        return [f"{name}:{'' if value is None else value}" for name, value in both.items()]

    async def _tell_often(self) -> None:
        while self._interval:
            await asyncio.sleep(self._interval)
            await self.tell()


class ConsoleReporter(Reporter):
    """Writes a line for each value into the broker's log, or gives it to `logger`."""

    def __init__(self, logger: Callable[[str], Any] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self._write = logger

    async def report(self, metrics: list[dict[str, Any]]) -> None:
        for metric in metrics:
            for value in metric["values"]:
                line = f"{self.named(metric['name'])} {{{', '.join(self.tags(value['labels']))}}}: {shown(value)}"
                if self._write is not None:
                    self._write(line)
                else:
                    self.logger.info("%s", line)


class EventReporter(Reporter):
    """Emits all metrics, as `$node.metrics` tells them.

    Args:
        event_name: the event.
        broadcast: whether every service that listens hears it.
        groups: for these groups only.
    """

    def __init__(
        self, event_name: str = "$metrics.snapshot", broadcast: bool = False, groups: Any = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self._event, self._is_broadcast, self._groups = event_name, broadcast, groups

    async def report(self, metrics: list[dict[str, Any]]) -> None:
        told = [{**one, "name": self.named(one["name"])} for one in metrics]
        tell = self.broker.broadcast if self._is_broadcast else self.broker.emit
        await tell(self._event, told, groups=self._groups)


def shown(value: Mapping[str, Any]) -> str:
    """A value in a few words."""
    if "count" not in value:
        return str(value["value"])
    return f"{value['count']} times, mean {value['mean']}, max {value['max']}, last {value['lastValue']}"
