"""Messages between instances over a client of `redis.asyncio`, where nothing else can connect as it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from ...errors import ServiceUnavailable
from .backend import Deliver
from .relay import Channels

log = logging.getLogger("ironbridge.app.websockets")


class ClientRelay:
    """The client's own connections.

    Args:
        client: connects, and connects again when it publishes.
        channels: what to publish and to subscribe to.
        deliver: gets each message.
        retry_delay: seconds before a lost subscription is made again.
    """

    def __init__(self, client: Any, channels: Channels, deliver: Deliver, retry_delay: float) -> None:
        self._client, self._channels = client, channels
        self._deliver, self._retry_delay = deliver, retry_delay
        self.subscribed, self.begun = asyncio.Event(), asyncio.Event()
        self.trouble: Exception | None = None

    def start(self) -> None:
        """Begins to subscribe."""
        self._listener = asyncio.create_task(self._listen())

    async def broadcast(self, data: bytes) -> None:
        """Publishes to all."""
        await self._publish(self._channels.broadcasts, data)

    async def send(self, rooms: Sequence[str], data: bytes) -> None:
        """Publishes to those in rooms."""
        await self._publish(self._channels.sends, b"\0".join((",".join(rooms).encode(), data)))

    async def _publish(self, channel: str, data: bytes) -> None:
        try:
            await self._client.publish(channel, data)
        except Exception as error:
            raise ServiceUnavailable(f"Redis did not take a message to websockets: {error}") from error

    async def check(self) -> None:
        """Raises when Redis does not answer."""
        await self._client.ping()

    async def stop(self) -> None:
        """Unsubscribes."""
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscription()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self.subscribed.clear()
                self.trouble = error
                log.warning("the subscription to websockets' messages was lost: %s; it is made again", error)
            await asyncio.sleep(self._retry_delay)

    async def _subscription(self) -> None:
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(self._channels.broadcasts, self._channels.sends)
            confirmed = 0
            while True:
                message = await pubsub.get_message(timeout=None)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    confirmed += 1
                    if confirmed == 2:
                        self.subscribed.set()
                        self.begun.set()
                elif message["type"] == "message":
                    self._take(message["channel"], message["data"])

    def _take(self, channel: bytes | str, data: bytes | str) -> None:
        # The client may have been told to decode what comes.
        name = channel.decode() if isinstance(channel, bytes) else channel
        text = data.encode() if isinstance(data, str) else data
        if name == self._channels.broadcasts:
            self._deliver(text, None)
            return
        rooms, mark, payload = text.partition(b"\0")
        if not mark:
            log.error("a message to websockets without rooms is dropped (%d bytes)", len(text))
            return
        self._deliver(payload, rooms.decode(errors="replace").split(","))
