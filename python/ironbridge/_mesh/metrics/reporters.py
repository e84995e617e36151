"""What a reporter of metrics is, and those that tell of them now and then."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BrokerOptionsError
from .naming import Naming

_PATIENCE = 5.0
"""Seconds for the last report."""


class Reporter(ABC):
    """Tells of the metrics now and then; derive from it for one of your own.

    Args:
        interval: seconds between two times; 0: only when the broker stops.
        only_changes: whether metrics that are as they were the last time are left out.
        naming: which metrics it tells of, and under which names: `includes`, `metric_name_formatter` …, as `Naming` has
            them.

    Raises:
        BrokerOptionsError: the interval is no number, or negative; or what `Naming` raises.
    """

    def __init__(self, interval: float = 5, only_changes: bool = False, **naming: Any) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int | float) or interval < 0:
            raise BrokerOptionsError(f"metrics: interval={interval!r}; it is a number that is not negative")
        self._interval, self.naming = float(interval), Naming(**naming)
        self._only_changes, self._before_that = only_changes, dict[str, Any]()
        self._task: asyncio.Task[None] | None = None

    def init(self, broker: Any, collect: Callable[[], None]) -> None:
        """Called once, with whose metrics they are and what looks at the process anew."""
        self.broker, self._collect = broker, collect
        self.logger = broker.get_logger("metrics")

    @abstractmethod
    async def report(self, metrics: list[dict[str, Any]]) -> None:
        """Tells of these, in the form of `$node.metrics`.

        Raises:
            OSError: nobody took them; that is logged.
        """

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
            async with asyncio.timeout(_PATIENCE):
                await self.tell()
        except TimeoutError:
            self.logger.warning("the last metrics could not be told within %g seconds", _PATIENCE)

    async def tell(self) -> None:
        """Tells of all now."""
        self._collect()
        wants = self.naming.wants
        told = [one.told() for one in self.broker.metrics.all() if wants(one.name, one.kind)]
        metrics = [one for one in told if one["values"] and not self._is_as_before(one)]
        if not metrics:
            return
        try:
            await self.report(metrics)
        except OSError as error:
            self.logger.warning("%d metrics could not be told: %s", len(metrics), error)
        except Exception:
            self.logger.exception("%d metrics could not be told", len(metrics))

    def named(self, name: str) -> str:
        """The name that is told."""
        return self.naming.named(name)

    def tags(self, labels: Mapping[str, Any]) -> list[str]:
        """Labels as `name:value`, those of all values first."""
        told = self.naming.labels(self.broker, labels)
        return [f"{name}:{'' if value is None else value}" for name, value in told.items()]

    def _is_as_before(self, metric: dict[str, Any]) -> bool:
        if not self._only_changes:
            return False
        before, self._before_that[metric["name"]] = self._before_that.get(metric["name"]), metric["values"]
        return bool(before == metric["values"])

    async def _tell_often(self) -> None:
        while self._interval:
            await asyncio.sleep(self._interval)
            await self.tell()


class ConsoleReporter(Reporter):
    """Writes a line for each value into the broker's log, or gives it to `logger`.

    Args:
        logger: called with each line.
        colors: as Moleculer's; lines have none here.
        only_changes: as for all reporters, and so here unless told otherwise.
    """

    def __init__(
        self, logger: Callable[[str], Any] | None = None, colors: bool = False, only_changes: bool = True, **more: Any
    ) -> None:
        super().__init__(only_changes=only_changes, **more)
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
        told = [self._renamed(one) for one in metrics]
        tell = self.broker.broadcast if self._is_broadcast else self.broker.emit
        await tell(self._event, told, groups=self._groups)

    def _renamed(self, metric: dict[str, Any]) -> dict[str, Any]:
        label = self.naming.label
        values = [
            {**value, "labels": {label(name): one for name, one in value["labels"].items()}}
            for value in metric["values"]
        ]
        names = [label(name) for name in metric["labelNames"]]
        return {**metric, "name": self.named(metric["name"]), "labelNames": names, "values": values}


def shown(value: Mapping[str, Any]) -> str:
    """A value in a few words."""
    if "count" not in value:
        return str(value["value"])
    return f"{value['count']} times, mean {value['mean']}, max {value['max']}, last {value['lastValue']}"
