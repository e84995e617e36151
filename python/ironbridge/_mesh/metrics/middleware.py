"""What is counted and timed around actions and events, and now and then."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import platform
import resource
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import BrokerOptionsError
from ..schema import ActionSchema, EventSchema, snake
from .csv import CsvReporter
from .naming import Naming
from .prometheus import PrometheusServer, written
from .registry import MetricRegistry
from .reporters import ConsoleReporter, EventReporter, Reporter
from .sending import DatadogReporter, StatsdReporter

Handler = Callable[[Any], Awaitable[Any]]

_ACTION = ("service", "action", "type", "caller")
_EVENT = ("service", "event", "group")
_CIRCUIT = ("affectedNodeID", "service", "action")
_KNOWN = (
    ("moleculer.request.total", "counter", _ACTION, "Number of requests"),
    ("moleculer.request.active", "gauge", _ACTION, "Number of active requests"),
    ("moleculer.request.error.total", "counter", (*_ACTION, "errorName", "errorCode", "errorType"), "Failed requests"),
    ("moleculer.request.time", "histogram", _ACTION, "Request times in milliseconds"),
    ("moleculer.request.levels", "counter", ("level",), "Number of requests by context level"),
    ("moleculer.request.retry.attempts.total", "counter", ("service", "action"), "Number of retries"),
    ("moleculer.request.fallback.total", "counter", ("service", "action"), "Number of fallbacked requests"),
    ("moleculer.request.bulkhead.inflight", "gauge", ("action", "service"), "Number of in-flight requests"),
    ("moleculer.request.bulkhead.queue.size", "gauge", ("action", "service"), "Size of the queue of requests"),
    ("moleculer.event.bulkhead.inflight", "gauge", ("event", "service"), "Number of in-flight event handlings"),
    ("moleculer.event.bulkhead.queue.size", "gauge", ("event", "service"), "Size of the queue of events"),
    ("moleculer.circuit-breaker.opened.active", "gauge", _CIRCUIT, "Number of active opened circuit-breakers"),
    ("moleculer.circuit-breaker.opened.total", "counter", _CIRCUIT, "Number of opened circuit-breakers"),
    ("moleculer.circuit-breaker.half-opened.active", "gauge", _CIRCUIT, "Number of half-opened circuit-breakers"),
    ("moleculer.event.emit.total", "counter", ("event", "groups"), "Number of emitted events"),
    ("moleculer.event.broadcast.total", "counter", ("event", "groups"), "Number of broadcast events"),
    ("moleculer.event.received.total", "counter", _EVENT, "Number of received events"),
    ("moleculer.event.received.active", "gauge", _EVENT, "Number of active event executions"),
    ("moleculer.event.received.error.total", "counter", _EVENT, "Number of event execution errors"),
    ("moleculer.event.received.time", "histogram", _EVENT, "Execution time of events in milliseconds"),
    ("moleculer.transporter.packets.sent.total", "counter", (), "Number of sent packets"),
    ("moleculer.transporter.packets.sent.bytes", "counter", (), "Amount of total bytes sent"),
    ("moleculer.transporter.packets.received.total", "counter", (), "Number of received packets"),
    ("moleculer.transporter.packets.received.bytes", "counter", (), "Amount of total bytes received"),
    ("moleculer.transit.requests.active", "gauge", (), "Number of active requests"),
    ("moleculer.transit.orphan.response.total", "counter", (), "Number of orphan responses"),
    ("moleculer.registry.nodes.total", "gauge", (), "Number of registered nodes"),
    ("moleculer.registry.nodes.online.total", "gauge", (), "Number of online nodes"),
    ("moleculer.registry.services.total", "gauge", (), "Number of registered services"),
    ("moleculer.node.type", "info", (), "Moleculer implementation type"),
    ("moleculer.node.versions.moleculer", "info", (), "Version"),
    ("moleculer.broker.namespace", "info", (), "Moleculer namespace"),
    ("moleculer.broker.started", "gauge", (), "ServiceBroker started"),
    ("process.pid", "info", (), "Process PID"),
    ("process.memory.rss", "gauge", (), "Process RSS size"),
    ("process.uptime", "gauge", (), "Process uptime in seconds"),
    ("process.gc.time", "gauge", (), "Collections of the garbage collector"),
    ("os.memory.total", "gauge", (), "OS used memory size"),
    ("os.memory.free", "gauge", (), "OS free memory size"),
    ("os.hostname", "info", (), "Hostname"),
    ("os.cpu.load.1", "gauge", (), "CPU load1"),
    ("os.cpu.load.5", "gauge", (), "CPU load5"),
    ("os.cpu.load.15", "gauge", (), "CPU load15"),
)

_REPORTERS: dict[str, Callable[..., Reporter]] = {
    "console": ConsoleReporter,
    "csv": CsvReporter,
    "event": EventReporter,
    "datadog": DatadogReporter,
    "statsd": StatsdReporter,
}


class Metrics:
    """Counts and times what a broker does.

    Args:
        broker: whose it is.
        options: `True`, or Moleculer's: `{"reporter": "Prometheus" | {"type": "Prometheus", "options": {"port": 3030,
            "path": "/metrics", "host": …}}, "collectInterval": seconds, "collectProcessMetrics": True, …}`; or the
            reporters Console, CSV, Event, Datadog and StatsD, or one's own. All take `includes`, `excludes`, `types`,
            `metricNamePrefix`, `metricNameSuffix`, `metricNameFormatter` and `labelNameFormatter`.

    Raises:
        BrokerOptionsError: there is no such reporter, or it has no such option.
    """

    def __init__(self, broker: Any, options: Any) -> None:
        self._broker = broker
        self.registry = MetricRegistry(options if isinstance(options, Mapping) else None)
        self._looks_at_process = self.registry.options.get("collect_process_metrics", True) is not False
        for name, kind, labels, description in _KNOWN:
            if not self._looks_at_process and name.startswith(("process.", "os.")):
                continue
            self.registry.register({"name": name, "type": kind, "labelNames": labels, "description": description})
        self.servers = [self._reporter(one) for one in _listed(self.registry.options.get("reporter"))]
        self._collecting: asyncio.Task[None] | None = None
        self._interval = float(self.registry.options.get("collect_interval", 5))
        registry = self.registry
        registry.set("moleculer.node.type", "python")
        registry.set("moleculer.node.versions.moleculer", broker.options.protocol)
        registry.set("moleculer.broker.namespace", broker.namespace)
        if self._looks_at_process:
            registry.set("process.pid", os.getpid())
            registry.set("os.hostname", platform.node())

    def _reporter(self, given: Any) -> PrometheusServer | Reporter:
        if isinstance(given, Reporter):
            given.init(self._broker, self.collect)
            return given
        kind = given.get("type") if isinstance(given, Mapping) else given
        told = (given.get("options") or {}) if isinstance(given, Mapping) else {}
        options = {snake(str(name)).lower(): value for name, value in told.items()}
        if str(kind).lower() == "prometheus":
            try:
                return PrometheusServer(self.text, **options)
            except TypeError as error:
                raise BrokerOptionsError(f"metrics: the reporter {kind}: {error}") from error
        made = _REPORTERS.get(str(kind).lower())
        if made is None:
            names = "Prometheus, Console, CSV, Event, Datadog and StatsD"
            raise BrokerOptionsError(f"metrics: there is no reporter {kind!r}; there are {names}")
        try:
            reporter = made(**options)
        except TypeError as error:
            raise BrokerOptionsError(f"metrics: the reporter {kind}: {error}") from error
        reporter.init(self._broker, self.collect)
        return reporter

    def text(self, naming: Naming) -> str:
        """Those that are wanted, as Prometheus reads them."""
        self.collect()
        return written(self.registry.all(), self._broker, naming)

    async def starting(self, _broker: Any) -> None:
        """Begins to serve, and to look at the process now and then."""
        for server in self.servers:
            await server.start()
        self._collecting = asyncio.create_task(self._collect_often())

    async def stopping(self, _broker: Any) -> None:
        """Lets reporters tell for the last time, while there still are others to hear it."""
        for server in self.servers:
            if isinstance(server, Reporter):
                await server.close()

    async def stopped(self, _broker: Any) -> None:
        """Ends both."""
        if self._collecting is not None:
            self._collecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collecting
        for server in self.servers:
            if not isinstance(server, Reporter):
                await server.close()

    async def _collect_often(self) -> None:
        while True:
            self.collect()
            await asyncio.sleep(self._interval)

    def collect(self) -> None:
        """Looks at the process, the machine and the node."""
        put = self.registry.set
        counted = self._broker.stats()
        put("moleculer.transporter.packets.sent.total", counted["packets_sent"])
        put("moleculer.transporter.packets.sent.bytes", counted["bytes_sent"])
        put("moleculer.transporter.packets.received.total", counted["packets_received"])
        put("moleculer.transporter.packets.received.bytes", counted["bytes_received"])
        put("moleculer.transit.requests.active", counted["pending"])
        put("moleculer.transit.orphan.response.total", counted["orphan_responses"])
        nodes = self._broker.get_registry().nodes.values()
        put("moleculer.registry.nodes.total", len(nodes))
        put("moleculer.registry.nodes.online.total", sum(node.available for node in nodes))
        put("moleculer.registry.services.total", sum(len(node.services) for node in nodes))
        put("moleculer.broker.started", int(self._broker.connected))
        if not self._looks_at_process:
            return
        put("process.memory.rss", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        put("process.uptime", self._broker.uptime)
        put("process.gc.time", sum(one["collections"] for one in gc.get_stats()))
        page = os.sysconf("SC_PAGE_SIZE")
        put("os.memory.total", os.sysconf("SC_PHYS_PAGES") * page)
        put("os.memory.free", os.sysconf("SC_AVPHYS_PAGES") * page)
        for name, load in zip(("1", "5", "15"), os.getloadavg(), strict=True):
            put(f"os.cpu.load.{name}", load)

    # ---- around actions and events -----------------------------------------------------------------------

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action, counted and timed."""
        return self._action(next, action, "local")

    def remote_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The other node's action, counted and timed."""
        return self._action(next, action, "remote")

    def _action(self, next: Handler, action: ActionSchema, kind: str) -> Handler:
        registry = self.registry
        service = action.service.full_name if action.service is not None else action.name.rpartition(".")[0]

        async def counted(ctx: Any) -> Any:
            labels = {"service": service, "action": action.name, "type": kind, "caller": ctx.caller}
            registry.increment("moleculer.request.total", labels)
            registry.increment("moleculer.request.active", labels)
            registry.increment("moleculer.request.levels", {"level": ctx.level})
            began = time.perf_counter()
            try:
                return await next(ctx)
            except Exception as error:
                told = {
                    "errorName": getattr(error, "name", type(error).__name__),
                    "errorCode": getattr(error, "code", None),
                    "errorType": getattr(error, "type", None),
                }
                registry.increment("moleculer.request.error.total", {**labels, **told})
                raise
            finally:
                registry.observe("moleculer.request.time", (time.perf_counter() - began) * 1000, labels)
                registry.decrement("moleculer.request.active", labels)

        return counted

    def local_event(self, next: Handler, event: EventSchema) -> Handler:
        """The listener, counted and timed."""
        registry, service = self.registry, event.service.full_name
        labels = {"service": service, "event": event.name, "group": event.group or event.service.name}

        async def counted(ctx: Any) -> None:
            registry.increment("moleculer.event.received.total", labels)
            registry.increment("moleculer.event.received.active", labels)
            began = time.perf_counter()
            try:
                await next(ctx)
            except Exception:
                registry.increment("moleculer.event.received.error.total", labels)
                raise
            finally:
                registry.observe("moleculer.event.received.time", (time.perf_counter() - began) * 1000, labels)
                registry.decrement("moleculer.event.received.active", labels)

        return counted

    def emit(self, next: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """What is emitted, counted."""
        return self._telling(next, "moleculer.event.emit.total")

    def broadcast(self, next: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """What is broadcast, counted."""
        return self._telling(next, "moleculer.event.broadcast.total")

    def _telling(self, next: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
        async def counted(event: str, data: Any, options: dict[str, Any]) -> Any:
            groups = ",".join(_listed(options.get("groups")))
            self.registry.increment(name, {"event": event, "groups": groups})
            return await next(event, data, options)

        return counted


def _listed(given: Any) -> list[Any]:
    if given is None or given is False:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
