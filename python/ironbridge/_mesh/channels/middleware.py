"""Channels of a broker: its services' are listened to while they run, and anybody sends to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import BrokerOptionsError
from . import envelope
from .adapter import Adapter, Handle, Message, Subscription
from .memory import MemoryAdapter
from .schema import ChannelSchema, channel_of, defaults_of

Handler = Callable[[Any], Awaitable[Any]]

_KINDS = ("redis", "rediss", "unix", "nats", "tls", "memory")
_PATIENCE = 5.0
"""Seconds that a service's start waits for its channels."""
_LABELS = ("channel", "group")
_METRICS = (
    ("moleculer.channels.messages.sent", "counter", ("channel",), "Number of sent messages"),
    ("moleculer.channels.messages.total", "counter", _LABELS, "Number of handled messages"),
    ("moleculer.channels.messages.active", "gauge", _LABELS, "Number of messages that are handled"),
    ("moleculer.channels.messages.time", "histogram", _LABELS, "Handling times in milliseconds"),
    ("moleculer.channels.messages.errors.total", "counter", _LABELS, "Number of failures"),
)


class Channels:
    """Channels of one broker. Nothing connects before the first is listened to, or sent to.

    Args:
        broker: whose they are.
        option: see `ChannelDefaults`.

    Raises:
        BrokerOptionsError: the option is wrong.
    """

    def __init__(self, broker: Any, option: Any) -> None:
        self._broker, self._defaults = broker, defaults_of(option)
        self._place: str = self._defaults.adapter or broker.options.transporter
        if self._defaults.adapter and self._kind not in _KINDS:
            raise BrokerOptionsError(f"channels at {self._place!r}: give redis://…, nats://… or memory")
        prefix = self._defaults.prefix
        self._prefix: str = broker.namespace if prefix is None else prefix
        self._made: Adapter | None = None
        self._schemas: dict[Any, list[ChannelSchema]] = {}
        self._listening: dict[Any, list[Subscription]] = {}
        if broker.metrics is not None:
            for name, kind, labels, description in _METRICS:
                broker.metrics.register({"name": name, "type": kind, "labelNames": labels, "description": description})

    @property
    def adapter(self) -> Adapter:
        """The server; it is made at first use.

        Raises:
            ConfigurationError: a package for it is missing.
        """
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def _kind(self) -> str:
        return self._place.partition("://")[0]

    def _make(self) -> Adapter:
        kind, timeout = self._kind, self._defaults.send_timeout / 1000
        if kind == "memory":
            return MemoryAdapter(self._place, self._prefix)
        if kind in ("nats", "tls"):
            from .jetstream import JetStreamAdapter

            return JetStreamAdapter(self._place, self._prefix, timeout, self._defaults.nats)
        from .redis import RedisAdapter

        return RedisAdapter(self._place, self._prefix, timeout)

    async def send(self, name: str, payload: Any, options: Mapping[str, Any]) -> None:
        """Sends a message: see `Broker.send_to_channel`."""
        data = bytes(payload) if options.get("raw") else envelope.written(payload)
        headers = envelope.headers_of(options.get("ctx"), options.get("headers"))
        if self._broker.tracer is not None:
            for exporter in self._broker.tracer.exporters:
                exporter.outgoing(headers)
        await self.adapter.publish(self._prefixed(name), data, headers, options.get("most"))
        if self._broker.metrics is not None:
            self._broker.metrics.increment("moleculer.channels.messages.sent", {"channel": name})

    # ---- services ----------------------------------------------------------------------------------------

    def service_creating(self, service: Any, schema: Mapping[str, Any]) -> None:
        """Reads its channels; refuses what is not written as channels are."""
        given = schema.get("channels") or {}
        found = [channel_of(name, told, service, self._defaults) for name, told in given.items()]
        if found:
            self._schemas[service] = found

    async def service_started(self, service: Any) -> None:
        """Listens to its channels; waits a while until they are there."""
        for channel in self._schemas.get(service, ()):
            name = self._prefixed(channel.name)
            consumer = self._prefixed(f"{self._broker.node_id}.{service.full_name}.{name}")
            handle = self._handle(channel)
            subscription = self.adapter.subscribe(channel, name, consumer, handle)
            self._listening.setdefault(service, []).append(subscription)
        beginning = [asyncio.ensure_future(one.ready()) for one in self._listening.get(service, ())]
        if beginning:
            for node in self._broker.get_registry().nodes.values():
                self._know_node(node.id, bool(node.available))
            _, late = await asyncio.wait(beginning, timeout=_PATIENCE)
            for one in late:
                one.cancel()
            if late:
                self._broker.logger.warning(
                    "%s: its channels at %s are not there yet; they will be", service.full_name, self._place
                )

    async def service_stopping(self, service: Any) -> None:
        """Takes no more of its messages, and lets those end that are handled."""
        grace = self._broker.options.grace / 1000
        await asyncio.gather(*(one.stop(grace) for one in self._listening.pop(service, ())))

    def started(self, broker: Any) -> None:
        """Is told of nodes that come and go."""
        broker.on("$node.connected", lambda told, *_: self._know_node(str(told["node"]["id"]), True))
        broker.on("$node.disconnected", lambda told, *_: self._know_node(str(told["node"]["id"]), False))

    def _know_node(self, node_id: str, is_there: bool) -> None:
        if self._made is not None:
            self._made.know_node(node_id, is_there)

    async def stopped(self, _broker: Any) -> None:
        """Lets the server go."""
        if self._made is not None:
            await self._made.close()

    # ---- messages ----------------------------------------------------------------------------------------

    def _prefixed(self, name: str) -> str:
        return f"{self._prefix}.{name}" if self._prefix else name

    def _handle(self, channel: ChannelSchema) -> Handle:
        broker, service = self._broker, channel.service
        run = broker.middlewares.wrap("local_channel", _innermost(channel), channel)

        async def handle(message: Message) -> None:
            payload = envelope.read(message.payload)
            await run(envelope.context_of(broker, service, payload, message.headers))

        return handle if broker.metrics is None else self._counted(channel, handle)

    def _counted(self, channel: ChannelSchema, handle: Handle) -> Handle:
        metrics, labels = self._broker.metrics, {"channel": channel.name, "group": channel.group}

        async def counted(message: Message) -> None:
            metrics.increment("moleculer.channels.messages.total", labels)
            metrics.increment("moleculer.channels.messages.active", labels)
            begun = time.monotonic()
            try:
                await handle(message)
            except Exception:
                metrics.increment("moleculer.channels.messages.errors.total", labels)
                raise
            finally:
                metrics.observe("moleculer.channels.messages.time", (time.monotonic() - begun) * 1000, labels)
                metrics.decrement("moleculer.channels.messages.active", labels)

        return counted


def _innermost(channel: ChannelSchema) -> Handler:
    handler, takes_context = channel.handler, channel.takes_context
    is_plain = not asyncio.iscoroutinefunction(handler)

    async def run(ctx: Any) -> None:
        given = ctx if takes_context else ctx.params
        answer = await asyncio.to_thread(handler, given) if is_plain else handler(given)
        if hasattr(answer, "__await__"):
            await answer

    return run
