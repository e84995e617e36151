"""The bus over RabbitMQ: exchanges, queues and messages as the original's workers and publishers have them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ... import _engine
from ...errors import ConfigurationError, ConnectionLost, ServiceUnavailable
from .. import const
from .backend import RedisMessageBrokerBackend
from .broker import Later, Outgoing, Queue, Take

log = logging.getLogger("ironbridge.app.bus")

DEAD_LETTERS = "dlx"
DEAD_QUEUE = "dlq"
_OPEN_TIMEOUT = 30.0
_PUBLISH_TIMEOUT = 30.0
# The longest that a message waits on the broker alone: a queue of its own keeps it so long.
_LONGEST_DELAY = 365 * 24 * 3600.0


@dataclass(frozen=True)
class AmqpAddress:
    """Where a bus's broker is.

    Attributes:
        uri: for AMQP.
        exchange: the bus's.
        prefetch: how many messages each handler may have open.
        by_channel: of handlers of these channels.
    """

    uri: str
    exchange: str = "jararaca_ex"
    prefetch: int = const.MESSAGEBUS_DEFAULT_PREFETCH_COUNT
    by_channel: Mapping[str, int] | None = None

    @classmethod
    def parse(cls, url: str, exchange: str | None = None) -> AmqpAddress:
        """From a URL whose query may name `exchange`, `prefetch_count` and `prefetch_count_by_channel_id`.

        Raises:
            ConfigurationError: a part of it is wrong.
        """
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        prefetch = query.pop("prefetch_count", None) or os.environ.get("AMQP_PREFETCH_COUNT") or cls.prefetch
        channels = query.pop("prefetch_count_by_channel_id", None) or os.environ.get("AMQP_PREFETCH_COUNT_BY_CHANNEL")
        named = query.pop("exchange", None)
        kept = {name: value for name, value in query.items() if name == "heartbeat"}
        if "connection_heartbeat_interval" in query:
            kept["heartbeat"] = query["connection_heartbeat_interval"]
        try:
            by_channel = {
                name: int(count)
                for name, _, count in (one.partition(":") for one in (channels or "").split(",") if one)
            }
            return cls(
                urlunsplit(parts._replace(query=urlencode(kept))),
                exchange or named or cls.exchange,
                int(prefetch),
                by_channel,
            )
        except ValueError:
            raise ConfigurationError(
                f"prefetch_count={prefetch!r} and prefetch_count_by_channel_id={channels!r} are numbers of messages"
            ) from None


class AmqpBroker:
    """A bus at RabbitMQ: one connection, which comes back by itself.

    Args:
        address: where it is.
        later: what keeps messages until their time; the broker itself does unless given.
        grace: seconds for what runs, and is on its way, at the end.
    """

    def __init__(
        self, address: AmqpAddress, later: RedisMessageBrokerBackend | None = None, grace: float = 10.0
    ) -> None:
        self.address = address
        self._later, self._grace = later, grace
        self._native = _engine.FabricConnector(_setup(address), {}, self._on_state, self._on_error)

    async def open(self) -> None:
        """Connects.

        Raises:
            ServiceUnavailable: the broker could not be reached.
            AuthenticationError, ConfigurationError: it does not want this user, or these exchanges.
        """
        loop = asyncio.get_running_loop()
        self._native.attach(loop)
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT):
                await _done(self._native.open())
        except TimeoutError:
            await self.close()
            raise ServiceUnavailable(
                f"RabbitMQ at {self._native.address} could not be reached within {_OPEN_TIMEOUT:.0f} s"
            ) from None
        except BaseException:
            await self.close()
            raise

    async def publish(self, message: Outgoing) -> None:
        """Returns when the broker has confirmed it."""
        exchange, key = self._way(message)
        given = _envelope(message, exchange, key, mandatory=message.is_task)
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT):
                await _done(self._native.send(given, message.body))
        except TimeoutError:
            raise ConnectionLost(
                f"RabbitMQ has not confirmed a message of {message.topic!r} within {_PUBLISH_TIMEOUT:.0f} s",
                fate="outcome unknown",
            ) from None
        except ServiceUnavailable as error:
            if error.fate != "rejected":
                raise
            raise ServiceUnavailable(
                f"nobody takes the topic {message.topic!r}: no queue is bound to it at exchange "
                f"{self.address.exchange!r}; start a worker of it, or `ironbridge app declare`",
                fate="rejected",
            ) from None

    async def publish_later(self, message: Outgoing, later: Later) -> None:
        """Keeps it until its time: at the backend, or in a queue of the broker's from which it goes on by itself."""
        if self._later is not None:
            await self._later.publish_later(message, later)
            return
        if later.idempotency_key is not None:
            raise ConfigurationError("idempotency keys need a backend: give the bus a Redis (backend_url)")
        wait = min(max(0.0, later.at - time.time()), _LONGEST_DELAY)
        exchange, key = self._way(message)
        waiting = _waiting_queue(exchange, key, wait)
        await _done(self._native.declare(waiting))
        await _done(self._native.send(_envelope(message, "", waiting["name"], mandatory=True), message.body))

    async def declare(self, queue: Queue) -> None:
        """Has a queue, its binding and the dead letters' there.

        Raises:
            ConfigurationError: one is there with other properties.
        """
        await _done(self._native.declare(self._queue(queue)))

    async def consume(self, queue: Queue, take: Take) -> Callable[[], Awaitable[None]]:
        """Consumes it; again after each lost connection."""
        return await self._consume(self._queue(queue), take)

    async def _consume(self, queue: _engine._Queue, take: Take) -> Callable[[], Awaitable[None]]:
        subscription, begun = self._native.take(queue, take, True)  # type: ignore[arg-type]
        await _done(begun)

        async def end() -> None:
            await _done(subscription.stop())

        return end

    async def count_dead(self) -> int:
        """How many dead letters wait."""
        await _done(self._native.declare(dead_queue()))
        messages, _ = await _done(self._native.inspect(DEAD_QUEUE))
        return int(messages)

    async def take_dead(self, take: Take) -> Callable[[], Awaitable[None]]:
        """Gives all dead letters to `take`; gives what ends it. One that is not settled goes back to its place."""
        return await self._consume({**dead_queue(), "prefetch": 0}, take)

    async def purge_dead(self) -> int:
        """Drops all dead letters; how many there were."""
        await _done(self._native.declare(dead_queue()))
        return int(await _done(self._native.purge(DEAD_QUEUE)))

    async def check(self) -> None:
        """Returns when it is connected now."""
        if not self._native.connected:
            raise ServiceUnavailable(f"the connection to RabbitMQ at {self._native.address} is lost")

    async def close(self) -> None:
        """Sends what waits, lets handlers end, and goes."""
        await _done(self._native.close(self._grace))
        self._native.detach()
        await asyncio.to_thread(self._native.join, 1.0)

    def _way(self, message: Outgoing) -> tuple[str, str]:
        """The exchange and the routing key of a message."""
        if message.target is not None:
            return "", message.target
        return self.address.exchange, message.topic if message.is_tick else f"{message.topic}.#"

    def _queue(self, queue: Queue) -> _engine._Queue:
        if queue.is_tick:
            arguments: dict[str, Any] = {"x-max-length": 1}
            binding = queue.topic
        else:
            arguments = {"x-dead-letter-exchange": DEAD_LETTERS, "x-dead-letter-routing-key": DEAD_LETTERS}
            binding = f"{queue.topic}.#"
        return {
            "name": queue.name,
            "durable": True,
            "exclusive": False,
            "auto_delete": False,
            "arguments": arguments,
            "bindings": [(self.address.exchange, binding)],
            "companions": [] if queue.is_tick else [dead_queue()],
            "prefetch": queue.prefetch,
            "ack": "none" if queue.is_tick else "manual",
        }

    def _on_state(self, state: str, why: BaseException | None) -> None:
        if state == "lost":
            log.warning("the connection to RabbitMQ at %s is lost: %s; it is made again", self._native.address, why)

    def _on_error(self, error: BaseException, place: str) -> None:
        log.error("%s: %s", place, error)


def dead_queue() -> _engine._Queue:
    """Where dead letters wait."""
    return {
        "name": DEAD_QUEUE,
        "durable": True,
        "exclusive": False,
        "auto_delete": False,
        "arguments": {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD_LETTERS},
        "bindings": [(DEAD_LETTERS, DEAD_LETTERS)],
        "companions": [],
        "prefetch": 100,
        "ack": "manual",
    }


def _waiting_queue(exchange: str, key: str, wait: float) -> _engine._Queue:
    """A queue that hands on what has waited in it for so long, and goes when nobody has used it for a while."""
    # In a queue of several delays, a long one would hold up the short ones behind it.
    milliseconds = max(1, round(wait * 1000))
    mark = hashlib.sha256(f"{exchange}\0{key}".encode()).hexdigest()[:16]
    return {
        "name": f"ironbridge.later.{mark}.{milliseconds}",
        "durable": True,
        "exclusive": False,
        "auto_delete": False,
        "arguments": {
            "x-dead-letter-exchange": exchange,
            "x-dead-letter-routing-key": key,
            "x-message-ttl": milliseconds,
            "x-expires": milliseconds + 60_000,
        },
        "bindings": [],
        "companions": [],
        "prefetch": 1,
        "ack": "manual",
    }


def _envelope(message: Outgoing, exchange: str, key: str, mandatory: bool) -> _engine._Message:
    return {
        "exchange": exchange,
        "routing_key": key,
        "headers": dict(message.headers) or None,
        "persistent": not message.is_tick,
        "mandatory": mandatory,
        "message_id": message.message_id,
        "content_type": message.content_type,
    }


def _setup(address: AmqpAddress) -> _engine._FabricSetup:
    return {
        "uri": address.uri,
        "domain": "app",
        "kind": "bus",
        "id": f"p{os.getpid()}",
        "version": None,
        "keep_alive": None,
        "time_to_live": 5.0,
        "discovery_exchange": "unused",
        "data_suffix": "unused",
        "tls_ca": None,
        "tls_cert": None,
        "tls_key": None,
        "codec": "json",
        "compatible": False,
        "workers": 1,
        "exchanges": [(address.exchange, "topic", True), (DEAD_LETTERS, "direct", True)],
    }


async def _done(begun: Any) -> Any:
    """What was begun, once it has ended; the engine gives values where there is nothing to wait for."""
    return await begun if hasattr(begun, "__await__") else begun
