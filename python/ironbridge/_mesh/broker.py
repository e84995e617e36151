"""The broker: a node of the mesh, its services, and calls and events of all."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from .. import _engine
from . import calling, features, handlers
from .bus import Heard, LocalBus
from .errors import MoleculerError, ServiceSchemaError
from .internal import NodeService
from .loadbalance import LoadBalanceStrategy, native_of
from .middlewares import Middlewares
from .options import BrokerOptions, options_of
from .registry import Registry, ServiceInfo, versioned
from .schema import ActionSchema
from .service import BaseService, Service
from .uids import uids_of

__all__ = ["Broker"]


class Broker:
    """A node of the mesh.

        broker = Broker("node-1", redis_url="redis://localhost:6379/0")
        await broker.start()
        print(await broker.call("math.add", {"a": 1, "b": 2}))
        await broker.stop()

    Times are in milliseconds.

    Args:
        node_id: this node's id, of which there is one in the mesh; the host's name and the process's number unless
            given.
        instance_id: which run of the node this is; made unless given.
        redis_url: the Redis to go through.
        cfg_node_ping_timeout_ms: a node that is not heard for so long is offline; `heartbeat_timeout` is the same.
        strategy: how nodes are chosen: a `LoadBalanceStrategy`, or one's name (`"RoundRobin"`, `"Random"`,
            `"CpuUsage"`, `"Latency"`, `"Shard"`).
        transporter: `"redis://…"`, `"nats://…"` or `"memory"`, in place of `redis_url`.

    Options:
        namespace: nodes of other namespaces are not heard.
        protocol: `"4"` (Moleculer 0.14, the default) or `"5"` (0.15); all nodes must speak the same.
        check_version: packets of other versions are not read (True).
        serializer: `"json"` or `"msgpack"`, the same at all nodes.
        request_timeout: how long a call waits that does not say, nor its action (30,000). 0 is for ever, as Moleculer
            has it, and unwise: a call whose answer is lost never ends.
        heartbeat_interval (a third of the timeout, 10,000 at most), heartbeat_timeout (20,000),
        disable_heartbeat_checks (False).
        offline_removal: a node that is offline for so long is forgotten (twice the timeout).
        prefer_local: what is served here is called here (True).
        disable_balancer: NATS chooses who gets calls and events (False).
        max_call_level: calls within calls, at most (0: no bound).
        metadata: told of this node.
        internal_services: the service `$node` (True).
        context_params_cloning: actions called on their own node get copies of their parameters (False).
        uid_generator: gives ids, called with the broker, or with nothing if it takes nothing: those of calls, of their
            contexts and requests, and of spans. Pings, and the packets of one event for several nodes, have the
            engine's; so have all without it, which is faster.
        middlewares, cacher, validator, metrics, tracing, channels, retry_policy, circuit_breaker, bulkhead, tracking,
        error_handler: see docs/mesh.md.
        dependency_interval (1000), dependency_timeout (0), stop_delay (100), grace (5000: for what runs at the end),
        discovery_wait (500: for the answers of nodes that are there).
        max_packet (64 MiB), max_pending (50,000 calls), max_nodes (10,000), workers (32 threads for plain `def`
        handlers).
        tls_ca, tls_cert, tls_key: PEM files for `rediss://` and `tls://`.
        created, started, stopped: functions of the broker, called when their time comes.

    Raises:
        BrokerOptionsError: an option is wrong; `ConfigurationError` when the engine says so.
    """

    def __init__(
        self,
        node_id: str | None = None,
        instance_id: str | None = None,
        redis_url: str = "redis://localhost:6379/0",
        cfg_node_ping_timeout_ms: float = 20_000,
        strategy: LoadBalanceStrategy | str | None = None,
        *,
        transporter: str | None = None,
        **options: Any,
    ) -> None:
        self.options: BrokerOptions = options_of(
            node_id, instance_id, redis_url, cfg_node_ping_timeout_ms, strategy, transporter, options
        )
        self.node_id, self.instance_id = self.options.node_id, self.options.instance_id
        self.namespace, self.strategy = self.options.namespace, self.options.strategy
        self.logger = self.get_logger("broker")
        self.services: list[BaseService] = []
        self.topic_prefix = f"MOL-{self.namespace}" if self.namespace else "MOL"
        self._bus = LocalBus(self.logger)
        self._ready: list[BaseService] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._settled: asyncio.Event | None = None
        self._lost_because: str | None = None
        self._pongs: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._registry: Registry | None = None
        self._state = "made"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started_at = time.monotonic()
        self._make_uid = uids_of(self.options.uid_generator)
        self.middlewares = Middlewares()
        self.cacher: Any = None
        self.validator: Any = None
        self.metrics: Any = None
        self.tracer: Any = None
        self.channels: Any = None
        self.error_handler: Any = None
        features.set_up(self)
        self._node = _engine.MeshNode(self.options.given(features.transform(self)), self._on_told)
        self._node.through_python(features.must_see_calls(self) or native_of(self.strategy) is None)
        self._call_chain = self.middlewares.wrap("call", self._call_through, None)
        if type(self).call is Broker.call:
            # The engine's own method: no Python runs between its caller and the packet.
            self.call = self._node.call  # type: ignore[method-assign]
        self._run_hook(self.options.created)
        self.middlewares.call_sync("created", self)

    # ---- life --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connects, finds the nodes that are there, and starts the services.

        Raises:
            ServiceUnavailable, AuthenticationError, ConfigurationError: the transporter cannot be used. While it
                cannot be reached, this waits; cancel it, or give it a time by `asyncio.timeout`.
        """
        if self._state != "made":
            raise MoleculerError(f"the broker {self.node_id} was {self._state} already: make another one")
        self._state = "started"
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        await self.middlewares.call("starting", self)
        self._node.attach(self, self._loop)
        if self.options.internal_services:
            NodeService(self)
        try:
            await self._node.start()
            await self._settled.wait()
            await asyncio.gather(*(self._start_service(service) for service in list(self.services)))
        except BaseException:
            await self._end()
            raise
        self.logger.info("%s is there, with %d services, on %s", self.node_id, len(self._ready), self._node.place)
        await self.broadcast_local("$broker.started")
        await self.middlewares.call("started", self)
        await self._run_hook_async(self.options.started)

    async def stop(self) -> None:
        """Tells the others, stops the services, lets what runs end, and disconnects."""
        if self._state != "started":
            return
        self._state = "stopped"
        await self.middlewares.call("stopping", self, reverse=True)
        # Others call these services no more; those who have not heard of it yet are answered for a while.
        self._node.set_services("[]", *handlers.of(self, self._ready))
        self._node.announce()
        await asyncio.sleep(self.options.stop_delay / 1000)
        self._node.stop_serving()
        for service in reversed(self.services):
            await self._stop_service(service)
        await self.broadcast_local("$broker.stopped")
        await self.middlewares.call("stopped", self, reverse=True)
        await self._run_hook_async(self.options.stopped)
        await self._end()
        self.logger.info("%s has left", self.node_id)

    async def _end(self) -> None:
        self._state = "stopped"
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.options.grace / 1000)
        self._node.close(1000)
        left = await asyncio.to_thread(self._node.join, self.options.grace)
        if left:
            self.logger.warning("%d plain handlers still run, though the broker has stopped", left)
        self._node.detach()

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.stop()

    @property
    def connected(self) -> bool:
        """Whether the transporter is connected now."""
        return bool(self._node.connected)

    # ---- services ----------------------------------------------------------------------------------------

    def create_service(self, schema: Mapping[str, Any] | type[BaseService], **more: Any) -> BaseService:
        """Makes a service of a schema as Moleculer's (`{"name": …, "actions": {…}, "events": {…}}`), whose handlers
        take contexts, or of a class. A started broker starts it at once.

        Raises:
            ServiceSchemaError: it is not written as services are.
        """
        if isinstance(schema, type):
            made: BaseService = schema(self, **more)
            return made
        make = self.middlewares.wrap("create_service", lambda schema: Service(self, schema={**schema, **more}), None)
        service: BaseService = make(schema)
        return service

    async def destroy_service(self, service: BaseService | str) -> None:
        """Stops a service, and serves it no more.

        Raises:
            ServiceNotFoundError: there is none of that name here.
        """
        found = self.get_local_service(service) if isinstance(service, str) else service
        if found is None or found not in self.services:
            from .errors import of_engine

            raise of_engine("ServiceNotFoundError", str(service), self.node_id)
        self._ready = [one for one in self._ready if one is not found]
        self._tell_services()
        await self._stop_service(found)
        self.services.remove(found)

    def get_local_service(self, name: str | Mapping[str, Any]) -> BaseService | None:
        """The service of this full name here: `"v2.math"`, or `{"name": "math", "version": 2}`."""
        full = name if isinstance(name, str) else versioned(name["name"], name.get("version"))
        return next((one for one in self.services if one.full_name == full), None)

    async def wait_for_services(self, names: Any, timeout: float = 0, interval: float | None = None) -> None:
        """Waits until services are served somewhere.

        Args:
            names: full names, or `{"name", "version"}`; of a list of versions, one will do.
            timeout: how long at most, in milliseconds; 0: for ever.
            interval: between two looks, beside those at each change; the broker's `dependency_interval` unless given.

        Raises:
            MoleculerError (500, `WAITFOR_SERVICES`): they did not come in time.
        """
        wanted = calling.wanted(names)
        pause = (interval or self.options.dependency_interval) / 1000
        end = time.monotonic() + timeout / 1000 if timeout > 0 else None
        changed = asyncio.Event()
        off = self.on("$services.changed", lambda *_: changed.set())
        try:
            while missing := [some for some in wanted if not any(self._has_service(name) for name in some)]:
                left = pause if end is None else min(pause, end - time.monotonic())
                if left <= 0:
                    told = ", ".join(" or ".join(some) for some in missing)
                    raise MoleculerError(
                        f"Services waiting is timed out: {told}",
                        500,
                        "WAITFOR_SERVICES",
                        {"services": [name for some in missing for name in some]},
                    )
                changed.clear()
                try:
                    async with asyncio.timeout(left):
                        await changed.wait()
                except TimeoutError:
                    pass
        finally:
            off()

    def _has_service(self, name: str) -> bool:
        return any(one.full_name == name for one in self._ready) or bool(self._node.has_service(name))

    def _take_service(self, service: BaseService) -> None:
        self.middlewares.call_sync("service_creating", service, service.schema)

    def _service_made(self, service: BaseService) -> None:
        if any(one.full_name == service.full_name for one in self.services):
            raise ServiceSchemaError(f"{self.node_id} has a service {service.full_name!r} already")
        self.services.append(service)
        self.middlewares.call_sync("service_created", service)
        if self._state == "started" and self._settled is not None and self._settled.is_set():
            self._begin(self._start_service(service))

    async def _start_service(self, service: BaseService) -> None:
        await self.middlewares.call("service_starting", service)
        if service.dependencies:
            own = service.settings.get("$dependencyTimeout", self.options.dependency_timeout)
            await self.wait_for_services(service.dependencies, own)
        if service not in self.services:
            return  # It was destroyed while it waited.
        for function in service.lifecycle("started"):
            await _finished(function())
        if service not in self.services:
            return
        self._ready.append(service)
        register = self.middlewares.wrap("register_local_service", lambda one: self._tell_services(), None)
        register(service)
        await self.middlewares.call("service_started", service)

    async def _stop_service(self, service: BaseService) -> None:
        await self.middlewares.call("service_stopping", service, reverse=True)
        for function in service.lifecycle("stopped"):
            try:
                limit = service.settings.get("$shutdownTimeout") or self.options.grace
                async with asyncio.timeout(limit / 1000):
                    await _finished(function())
            except TimeoutError:
                self.logger.error("stopped() of %s took longer than it may", service.full_name)
            except Exception:
                self.logger.exception("stopped() of %s has failed", service.full_name)
        await self.middlewares.call("service_stopped", service, reverse=True)

    def _tell_services(self) -> None:
        told = [one.told() for one in self._ready]
        self._node.set_services(json.dumps(told), *handlers.of(self, self._ready))
        self._node.announce()

    # ---- calls -------------------------------------------------------------------------------------------

    async def call(
        self,
        action: str,
        params: Any = None,
        meta: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        node_id: str | None = None,
        **options: Any,
    ) -> Any:
        """Calls an action, wherever it is served.

        Args:
            action: its full name.
            params: its parameters; an empty dict unless given.
            meta: what travels with this call and those that follow from it.
            timeout: how long to wait, in milliseconds; 0: for ever.
            node_id: the node to call; any that serves it unless given.
            options: `headers`, `retries`, `fallback_response`, `stream` (an asynchronous iterator), `request_id`,
                `caller`, `parent_ctx`, `tracing`.

        Raises:
            ServiceNotFoundError, ServiceNotAvailableError: nobody serves it (now).
            RequestTimeoutError: it took too long; it may have run.
            RequestRejectedError: its node went away; it may have run.
            BrokerDisconnectedError, QueueIsFullError: it was not sent.
            MoleculerError: what its handler raised, of the class of that name where there is one here.
        """
        return await self._node.call(action, params, meta, timeout, node_id, **options)

    async def _call(self, action: str, **options: Any) -> Any:
        """A call that Python must see."""
        return await self._call_chain(action, options.pop("params", None), options)

    async def _call_through(self, action: str, params: Any, options: dict[str, Any]) -> Any:
        return await calling.call(self, action, params, options)

    async def _call_own(self, schema: ActionSchema, params: Any, options: dict[str, Any]) -> Any:
        return await calling.call_own(self, schema, params, options)

    async def mcall(self, calls: Any, settled: bool = False, **options: Any) -> Any:
        """Calls several actions at once.

        Args:
            calls: a list, or a dict, of `{"action", "params", "options"}`.
            settled: gives all outcomes as `{"status", "value" | "reason"}`; otherwise the first failure is raised.
            options: for all of them, as `call`'s.
        """
        run = self.middlewares.wrap("mcall", self._mcall, None)
        return await run(calls, settled, options)

    async def _mcall(self, calls: Any, settled: bool, options: dict[str, Any]) -> Any:
        return await calling.mcall(self, calls, settled, options)

    async def ping(self, node_id: str | Sequence[str] | None = None, timeout: float = 2000) -> Any:
        """Asks whether nodes are there.

        Gives:
            of one node `{"nodeID", "elapsedTime", "timeDiff"}`, or None when it has not answered in time; of several,
            or all, a dict of these.
        """
        if isinstance(node_id, str):
            return await self._ping_one(node_id, timeout)
        known = self.get_registry().nodes.values()
        names = list(node_id) if node_id is not None else [one.id for one in known if one.available and not one.local]
        answers = await asyncio.gather(*(self._ping_one(name, timeout) for name in names))
        return dict(zip(names, answers, strict=True))

    async def _ping_one(self, node_id: str, timeout: float) -> dict[str, Any] | None:
        number = self._node.ping(node_id)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pongs[number] = answer
        try:
            async with asyncio.timeout(timeout / 1000):
                return await answer
        except TimeoutError:
            return None
        finally:
            self._pongs.pop(number, None)

    # ---- events ------------------------------------------------------------------------------------------

    async def emit(self, event: str, data: Any = None, groups: Any = None, **options: Any) -> None:
        """Tells of an event: of the services that listen, one of each group hears it.

        Args:
            event: its name.
            data: what happened.
            groups: for these groups only.
            options: `meta`, `headers`, `parent_ctx`, `request_id`, `caller`.

        It comes back when the handlers on this node have ended; their failures are logged.
        """
        run = self.middlewares.wrap("emit", self._emit, None)
        await run(event, data, {"groups": groups, **options})

    async def broadcast(self, event: str, data: Any = None, groups: Any = None, **options: Any) -> None:
        """Tells of an event: every service that listens hears it. As `emit` otherwise."""
        run = self.middlewares.wrap("broadcast", self._broadcast, None)
        await run(event, data, {"groups": groups, **options})

    async def broadcast_local(self, event: str, data: Any = None, groups: Any = None, **options: Any) -> None:
        """Tells the services of this node alone of an event."""
        run = self.middlewares.wrap("broadcast_local", self._broadcast_local, None)
        await run(event, data, {"groups": groups, **options})

    async def _emit(self, event: str, data: Any, options: dict[str, Any]) -> None:
        await calling.tell(self, event, data, options, "emit")

    async def _broadcast(self, event: str, data: Any, options: dict[str, Any]) -> None:
        await calling.tell(self, event, data, options, "broadcast")

    async def _broadcast_local(self, event: str, data: Any, options: dict[str, Any]) -> None:
        await calling.tell(self, event, data, options, "broadcastLocal")

    async def send_to_channel(
        self,
        channel: str,
        payload: Any,
        *,
        ctx: Any = None,
        headers: Mapping[str, str] | None = None,
        raw: bool = False,
        most: int | None = None,
    ) -> None:
        """Sends a durable event: it is kept until a service of each group that listens has handled it.

        Args:
            channel: its name.
            payload: what happened.
            ctx: the call that it belongs to, whose meta and request id go along.
            headers: texts that go beside it.
            raw: whether `payload` is bytes, to be sent as they are.
            most: messages that the channel keeps, about; all unless given. Redis's alone.

        Raises:
            MoleculerRetryableError (502, `CHANNEL_UNAVAILABLE`): the server has not taken it in time; it may have it.
            PayloadError: it holds what JSON has not.
        """
        run = self.middlewares.wrap("send_to_channel", self.channels.send, None)
        await run(channel, payload, {"ctx": ctx, "headers": headers, "raw": raw, "most": most})

    def on(self, pattern: str, handler: Heard) -> Callable[[], None]:
        """Calls `handler(payload, sender, event)` at the broker's own events: `$node.connected`, `$services.changed`
        … Gives what ends it."""
        return self._bus.on(pattern, handler)

    # ---- what is known -----------------------------------------------------------------------------------

    def get_registry(self) -> Registry:
        """All nodes and what they serve."""
        if self._registry is None:
            self._registry = Registry.read(self._node.nodes())
        return self._registry

    def get_services(self) -> list[ServiceInfo]:
        """All services of the nodes that are there."""
        self._registry = None
        return self.get_registry().services()

    def get_logger(self, name: str) -> logging.Logger:
        """The logger of a part of the broker."""
        return logging.getLogger(f"ironbridge.mesh.{name}")

    def stats(self) -> dict[str, int]:
        """What the node has counted: packets, connections, answers that nobody waited for …"""
        counted: dict[str, int] = self._node.stats()
        return counted

    @property
    def uptime(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._started_at

    def set_endpoint_usable(self, action: str, node_id: str, usable: bool) -> None:
        """An action is not called at a node, or is again: for circuit breakers."""
        self._node.set_usable(action, node_id, usable)

    def generate_uid(self) -> str:
        """A fresh id: of `uid_generator`, if there is one.

        Raises:
            BrokerOptionsError: it has given none.
        """
        return self._make_uid(self)

    def make_context(self, **known: Any) -> Any:
        """A context that was made here: `params`, `meta`, `headers`, `level`, `parent_id`, `request_id`, `caller` …"""
        context = self._node.context()
        if self.options.uid_generator is not None:
            context.id = self.generate_uid()
        for name, value in known.items():
            setattr(context, name, value)
        return context

    async def retry(self, ctx: Any) -> Any:
        """Sends a call again, wherever it may go now."""
        return await calling.again(self, ctx)

    def start_span(self, ctx: Any, name: str, **options: Any) -> Any:
        """Begins a span within a call's."""
        return features.start_span(self, ctx, name, options)

    # ---- what the engine tells ---------------------------------------------------------------------------

    def _on_told(self, what: str, *told: Any) -> None:
        getattr(self, f"_on_{what}")(*told)

    def _on_connected(self, _why: object) -> None:
        self._lost_because = None
        self.logger.info("connected to %s", self._node.place)
        self._tell("$transporter.connected", {"wasReconnect": self.stats()["connections"] > 1})

    def _on_lost(self, why: BaseException | None) -> None:
        # What is tried every second or so, and fails as before, is news only once.
        level = logging.DEBUG if str(why) == self._lost_because else logging.WARNING
        self._lost_because = str(why)
        self.logger.log(level, "the transporter is not connected: %s; it is tried again until it is", why)
        self._tell("$transporter.disconnected", {"graceFul": False, "error": str(why)})

    def _on_closed(self, _why: object) -> None:
        pass

    def _on_settled(self) -> None:
        if self._settled is not None:
            self._settled.set()

    def _on_node_connected(self, node_id: str, reconnected: bool) -> None:
        self._registry = None
        self.logger.info("node %s is %s", node_id, "there again" if reconnected else "there")
        self._tell("$node.connected", {"node": calling.node_told(self, node_id), "reconnected": reconnected})

    def _on_node_updated(self, node_id: str) -> None:
        self._registry = None
        self._tell("$node.updated", {"node": calling.node_told(self, node_id)})

    def _on_node_disconnected(self, node_id: str, unexpected: bool) -> None:
        self._registry = None
        self.logger.info("node %s has %s", node_id, "been lost" if unexpected else "left")
        self._tell("$node.disconnected", {"node": calling.node_told(self, node_id), "unexpected": unexpected})

    def _on_node_removed(self, node_id: str) -> None:
        self._registry = None
        self.logger.info("node %s is forgotten", node_id)

    def _on_services_changed(self, local: bool) -> None:
        self._registry = None
        self._tell("$services.changed", {"localService": local})

    def _on_pong(self, node_id: str, number: str | None, elapsed: float, difference: float) -> None:
        told = {"nodeID": node_id, "elapsedTime": elapsed, "timeDiff": difference}
        waiting = self._pongs.get(number or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(told)
        self._tell("$node.pong", told)

    def _on_event(self, event: str, data: Any, sender: str) -> None:
        for begun in self._bus.tell(event, data, sender):
            self._begin(begun)

    def _on_unread(self, node_id: str, why: str) -> None:
        self.logger.warning("node %s tells of %s: it is left out", node_id, why)

    def _on_trouble(self, error: BaseException) -> None:
        self.logger.error("%s", error)
        self._tell("$transit.error", {"error": error, "module": "transit", "type": "failedProcessingPacket"})

    def _on_failed(self, error: BaseException, place: str) -> None:
        self.logger.error("%s has failed", place, exc_info=error)

    def _tell(self, event: str, data: Any) -> None:
        """Tells this node's services of the broker's own event."""
        if self._loop is not None and not self._loop.is_closed() and self._state == "started":
            self._begin(self.broadcast_local(event, data))

    def _begin(self, awaitable: Awaitable[Any]) -> None:
        if self._loop is None:
            return
        task: asyncio.Task[Any] = self._loop.create_task(_finished(awaitable))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.logger.error("something that was begun has failed", exc_info=error)

    def _run_hook(self, hook: Any) -> None:
        if callable(hook):
            hook(self)

    async def _run_hook_async(self, hook: Any) -> None:
        if callable(hook):
            await _finished(hook(self))

    def __repr__(self) -> str:
        return f"<Broker {self.node_id!r} {self._state}>"


async def _finished(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value
