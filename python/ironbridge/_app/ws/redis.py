"""Messages between instances by Redis's pub/sub, in the original's form."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from typing import Any

from ...errors import AuthenticationError, ConfigurationError, ServiceUnavailable
from ..bus.backend import connect
from .address import address_of
from .backend import Counts, Deliver
from .relay import Channels, Relay
from .relay_client import ClientRelay
from .relay_native import NativeRelay

_BEAT = 20.0
"""Seconds between two signs of who is here; one that is not heard for three is gone."""
_SUBSCRIBED = 10.0


class RedisWebSocketConnectionBackend:
    """Instances that meet at a Redis.

    A broadcast is published to one channel as it is; a message to rooms to another, as `room1,room2`, NUL, and its
    text. Subscriptions are made again when the connection was lost; what was published meanwhile is not seen, as
    pub/sub has it. The engine's own connections carry the messages; a client that connects as only it can (Sentinel,
    a cluster, a credential provider, TLS of its own) carries them itself.

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
        self._channels = Channels(broadcast_pubsub_channel, send_pubsub_channel)
        self._instance = uuid.uuid4().hex

    async def start(self, deliver: Deliver, counts: Counts) -> None:
        """Subscribes; returns when Redis has confirmed it.

        Raises:
            ServiceUnavailable: it cannot be reached.
            AuthenticationError, ConfigurationError: it does not let this user in, or not to these channels.
        """
        self._counts = counts
        # A client of the user's may belong to the loop of another process's beginning.
        self._redis = connect(self._conn) if isinstance(self._conn, str) else self._conn
        self._relay = self._relay_for(deliver)
        self._relay.start()
        self._beating = asyncio.create_task(self._beat())
        try:
            async with asyncio.timeout(_SUBSCRIBED):
                await self._relay.begun.wait()
        except TimeoutError:
            trouble = self._relay.trouble
            await self.stop()
            raise ServiceUnavailable(
                f"Redis did not take the subscription to {self._channels.sends} within {_SUBSCRIBED} s: {trouble}"
            ) from trouble
        refusal = self._relay.trouble
        if isinstance(refusal, AuthenticationError | ConfigurationError):
            await self.stop()
            raise refusal

    def _relay_for(self, deliver: Deliver) -> Relay:
        address = address_of(self._redis)
        if address is None:
            return ClientRelay(self._redis, self._channels, deliver, self._retry_delay)
        return NativeRelay(address, self._channels, deliver, self._retry_delay)

    async def broadcast(self, data: bytes) -> None:
        """Sends data to all websockets of all instances; returns when Redis has taken it.

        Raises:
            ServiceUnavailable: Redis cannot be reached, refuses it, or does not answer within 10 seconds.
            Overloaded: 16 MiB wait for Redis already.
            PayloadError: it is over the bound, 64 MiB (`IRONBRIDGE_MAX_FRAME`, bytes).
        """
        await self._relay.broadcast(data)

    async def send(self, rooms: Sequence[str], data: bytes) -> None:
        """Sends data to those in rooms, at all instances; returns when Redis has taken it.

        Raises:
            ServiceUnavailable, Overloaded, PayloadError: as `broadcast`.
            ConfigurationError: a room's name has a comma or a NUL in it, which the form has no room for.
        """
        for room in rooms:
            if "," in room or "\0" in room:
                raise ConfigurationError(f"the room {room!r}: a name may hold no comma and no NUL")
        await self._relay.send(rooms, data)

    async def presence(self, room: str) -> int:
        """How many are in a room, at all instances that have said so lately."""
        await self._say_counts()
        found = await self._redis.hgetall(self._key(room))
        return sum(int(count) for count in found.values())

    async def check(self) -> None:
        """Raises when Redis does not answer, or the subscription is lost."""
        if not self._relay.subscribed.is_set():
            raise ServiceUnavailable(f"the subscription to {self._channels.sends} is lost: {self._relay.trouble}")
        await self._relay.check()

    async def stop(self) -> None:
        """Unsubscribes."""
        self._beating.cancel()
        await asyncio.gather(self._beating, self._relay.stop(), return_exceptions=True)
        if isinstance(self._conn, str):
            await self._redis.aclose()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)  # at the beginning nobody is here
            with contextlib.suppress(Exception):  # the subscription tells of a Redis that is away
                await self._say_counts()

    async def _say_counts(self) -> None:
        """Tells how many are in each room here; a room that nobody tells of is forgotten."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for room, count in self._counts().items():
                pipe.hset(self._key(room), self._instance, count)
                pipe.expire(self._key(room), int(3 * _BEAT))
            if len(pipe):
                await pipe.execute()

    def _key(self, room: str) -> str:
        return f"{self._channels.sends}:presence:{room}"
