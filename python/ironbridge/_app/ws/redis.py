"""Messages between instances by Redis's pub/sub, in the original's form."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from ...errors import ConfigurationError, ServiceUnavailable
from ..bus.backend import connect
from .backend import Counts, Deliver

log = logging.getLogger("ironbridge.app.websockets")

_BEAT = 20.0
"""Seconds between two signs of who is here; one that is not heard for three is gone."""
_SUBSCRIBED = 10.0


class RedisWebSocketConnectionBackend:
    """Instances that meet at a Redis.

    A broadcast is published to one channel as it is; a message to rooms to another, as `room1,room2`, NUL, and its
    text. Subscriptions are made again when the connection was lost; what was published meanwhile is not seen, as
    pub/sub has it.

    Args:
        conn: a URL, or a client of `redis.asyncio`.
        broadcast_pubsub_channel, send_pubsub_channel: the channels.
        retry_delay: seconds before a lost subscription is made again.
        consume_broadcast_timeout, consume_send_timeout, max_concurrent_tasks: as the original has them; not needed.
    """

    def __init__(
        self,
        conn: Any,
        broadcast_pubsub_channel: str = "jararaca:websocket:broadcast",
        send_pubsub_channel: str = "jararaca:websocket:send",
        consume_broadcast_timeout: float = 1,
        consume_send_timeout: float = 1,
        retry_delay: float = 5.0,
        max_concurrent_tasks: int = 1000,
    ) -> None:
        self._conn, self._retry_delay = conn, retry_delay
        self._broadcasts, self._sends = broadcast_pubsub_channel, send_pubsub_channel
        self._instance = uuid.uuid4().hex
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, deliver: Deliver, counts: Counts) -> None:
        """Subscribes; returns when Redis has confirmed it.

        Raises:
            ServiceUnavailable: it cannot be reached.
        """
        self._deliver, self._counts = deliver, counts
        # A client of the user's may belong to the loop of another process's beginning.
        self._redis = connect(self._conn) if isinstance(self._conn, str) else self._conn
        self._subscribed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        try:
            async with asyncio.timeout(_SUBSCRIBED):
                await self._subscribed.wait()
        except TimeoutError:
            await self.stop()
            raise ServiceUnavailable(
                f"Redis did not take the subscription to {self._sends} within {_SUBSCRIBED} s"
            ) from None

    async def broadcast(self, data: bytes) -> None:
        """Sends data to all websockets of all instances."""
        await self._publish(self._broadcasts, data)

    async def send(self, rooms: Sequence[str], data: bytes) -> None:
        """Sends data to those in rooms, at all instances.

        Raises:
            ConfigurationError: a room's name has a comma or a NUL in it, which the form has no room for.
        """
        for room in rooms:
            if "," in room or "\0" in room:
                raise ConfigurationError(f"the room {room!r}: a name may hold no comma and no NUL")
        await self._publish(self._sends, b"\0".join((",".join(rooms).encode(), data)))

    async def _publish(self, channel: str, data: bytes) -> None:
        try:
            await self._redis.publish(channel, data)
        except Exception as error:
            raise ServiceUnavailable(f"Redis did not take a message to websockets: {error}") from error

    async def presence(self, room: str) -> int:
        """How many are in a room, at all instances that have said so lately."""
        await self._say_counts()
        found = await self._redis.hgetall(self._key(room))
        return sum(int(count) for count in found.values())

    async def check(self) -> None:
        """Raises when Redis does not answer, or the subscription is lost."""
        await self._redis.ping()
        if not self._subscribed.is_set():
            raise ServiceUnavailable(f"the subscription to {self._sends} is lost")

    async def stop(self) -> None:
        """Unsubscribes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if isinstance(self._conn, str):
            await self._redis.aclose()

    async def _listen(self) -> None:
        while True:
            try:
                await self._subscription()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._subscribed.clear()
                log.warning("the subscription to websockets' messages was lost: %s; it is made again", error)
            await asyncio.sleep(self._retry_delay)

    async def _subscription(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._broadcasts, self._sends)
            confirmed = 0
            while True:
                message = await pubsub.get_message(timeout=None)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    confirmed += 1
                    if confirmed == 2:
                        self._subscribed.set()
                elif message["type"] == "message":
                    self._take(message["channel"], message["data"])

    def _take(self, channel: bytes | str, data: bytes) -> None:
        name = channel.decode() if isinstance(channel, bytes) else channel
        if name == self._broadcasts:
            self._deliver(data, None)
            return
        rooms, mark, payload = data.partition(b"\0")
        if not mark:
            log.error("a message to websockets without rooms is dropped (%d bytes)", len(data))
            return
        self._deliver(payload, rooms.decode(errors="replace").split(","))

    async def _beat(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # the subscription tells of a Redis that is away
                await self._say_counts()
            await asyncio.sleep(_BEAT)

    async def _say_counts(self) -> None:
        """Tells how many are in each room here; a room that nobody tells of is forgotten."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for room, count in self._counts().items():
                pipe.hset(self._key(room), self._instance, count)
                pipe.expire(self._key(room), int(3 * _BEAT))
            if len(pipe):
                await pipe.execute()

    def _key(self, room: str) -> str:
        return f"{self._sends}:presence:{room}"
