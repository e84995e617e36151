"""Messages between instances over the engine's own connections to a Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from ... import _engine
from ...errors import AuthenticationError, ConfigurationError, IronbridgeError, ServiceUnavailable
from .backend import Deliver
from .relay import Channels

log = logging.getLogger("ironbridge.app.websockets")

_CONNECT_TIMEOUT = 5.0
_TIMEOUT = 10.0
"""Seconds within which Redis answers what is published, and pings."""
_PING_INTERVAL = 10.0
_LOOK = 1.0
"""Seconds between two looks for what is late."""


class NativeRelay:
    """Two connections, to subscribe and to publish, that are made and lost together.

    Args:
        address: where the Redis is.
        channels: what to publish and to subscribe to.
        deliver: gets each message.
        retry_delay: seconds before lost connections are made again; at once when something is published.
    """

    def __init__(
        self, address: _engine._RedisAddress, channels: Channels, deliver: Deliver, retry_delay: float
    ) -> None:
        self._setup: _engine._WebSocketRelaySetup = {
            **address,
            "broadcasts": channels.broadcasts,
            "sends": channels.sends,
            "connect_timeout": _CONNECT_TIMEOUT,
            "timeout": _TIMEOUT,
            "ping_interval": _PING_INTERVAL,
        }
        self._deliver, self._retry_delay = deliver, retry_delay
        self.subscribed, self.begun = asyncio.Event(), asyncio.Event()
        self.trouble: Exception | None = None
        self._connection: _engine.WebSocketRelay | None = None
        self._wanted = asyncio.Event()
        self._attempt: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Begins to connect."""
        self._keeper = asyncio.create_task(self._keep())

    async def broadcast(self, data: bytes) -> None:
        """Publishes to all."""
        connection = self._connection or await self._connected()
        await connection.broadcast(data)

    async def send(self, rooms: Sequence[str], data: bytes) -> None:
        """Publishes to those in rooms."""
        connection = self._connection or await self._connected()
        await connection.send(rooms, data)

    async def check(self) -> None:
        """Raises when Redis does not answer."""
        if self._connection is not None:
            await self._connection.ping()

    async def stop(self) -> None:
        """Ends the connections."""
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self.trouble = ServiceUnavailable("it was stopped")
        if not self._attempt.done():
            self._attempt.set_result(None)

    async def _connected(self) -> _engine.WebSocketRelay:
        """What the next attempt to connect gives, which is made at once."""
        self._wanted.set()
        await asyncio.shield(self._attempt)
        if self._connection is None:
            raise ServiceUnavailable(f"Redis did not take a message to websockets: {self.trouble}")
        return self._connection

    async def _keep(self) -> None:
        while True:
            try:
                connection = await asyncio.to_thread(_engine.WebSocketRelay.connect, self._setup)
            except IronbridgeError as error:
                if isinstance(error, AuthenticationError | ConfigurationError) and not self.begun.is_set():
                    # Whoever begins is told, instead of the log.
                    self.trouble = error
                    self.begun.set()
                else:
                    self._tell(error)
                self._attempted()
            else:
                self._tell(await self._attend(connection))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._retry_delay):
                    await self._wanted.wait()

    def _attempted(self) -> None:
        self._wanted.clear()
        self._attempt.set_result(None)
        self._attempt = asyncio.get_running_loop().create_future()

    async def _attend(self, connection: _engine.WebSocketRelay) -> Exception:
        """Looks after connections until they are lost; why they are."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Exception] = loop.create_future()

        def lost(error: Exception) -> None:
            self._connection = None
            self.subscribed.clear()
            ended.set_result(error)

        connection.attach(loop, self._take, log.error, lost)
        self._connection, self.trouble = connection, None
        self.subscribed.set()
        self.begun.set()
        self._attempted()
        try:
            while not ended.done():
                await asyncio.wait([ended], timeout=_LOOK)
                connection.watch()
        finally:
            self._connection = None
            self.subscribed.clear()
            connection.close()
        return ended.result()

    def _tell(self, error: Exception) -> None:
        if str(error) != str(self.trouble):
            log.warning("the subscription to websockets' messages was lost: %s; it is made again", error)
        self.trouble = error

    def _take(self, messages: Sequence[tuple[bytes, list[str] | None]]) -> None:
        for data, rooms in messages:
            try:
                self._deliver(data, rooms)
            except Exception:
                log.exception("a message to websockets was not delivered")
