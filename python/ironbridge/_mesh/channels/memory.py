"""Channels within one process: the same promises for as long as it lives, for tests and development."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import ClassVar

from .adapter import Adapter, Handle, Message, outcome_of
from .envelope import ORIGINAL_CHANNEL, ORIGINAL_GROUP
from .schema import ChannelSchema

log = logging.getLogger("ironbridge.mesh.channels")


class _Group:
    """What waits for one group."""

    def __init__(self) -> None:
        self.waiting: deque[Message] = deque()
        self.news = asyncio.Event()

    def put(self, message: Message) -> None:
        self.waiting.append(message)
        self.news.set()


class _Channels:
    """All channels of one name in this process."""

    known: ClassVar[dict[str, _Channels]] = {}

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, _Group]] = {}

    @classmethod
    def named(cls, name: str) -> _Channels:
        return cls.known.setdefault(name, cls())


class MemorySubscription:
    """A channel that is listened to."""

    def __init__(self, adapter: MemoryAdapter, channel: ChannelSchema, name: str, handle: Handle) -> None:
        self._adapter, self._channel, self._name, self._handle = adapter, channel, name, handle
        self._group = adapter.group(name, channel.group)
        self._workers = [asyncio.create_task(self._work()) for _ in range(int(channel.max_in_flight))]
        self._is_ending = False

    async def _work(self) -> None:
        group = self._group
        while not self._is_ending:
            if not group.waiting:
                group.news.clear()
                await group.news.wait()
                continue
            message = group.waiting.popleft()
            try:
                await self._one(message)
            except asyncio.CancelledError:
                group.put(message)
                raise

    async def _one(self, message: Message) -> None:
        outcome = await outcome_of(self._channel, self._handle, message, log)
        if outcome == "again":
            again = Message(message.payload, message.headers, message.attempt + 1)
            asyncio.get_running_loop().call_later(self._channel.retry_delay / 1000, self._group.put, again)
        elif outcome == "dead" and self._channel.dead_letters:
            headers = {
                **message.headers,
                ORIGINAL_CHANNEL: self._name,
                ORIGINAL_GROUP: self._channel.group,
            }
            await self._adapter.publish(self._adapter.prefixed(self._channel.dead_letters), message.payload, headers)

    async def ready(self) -> None:
        """It is at once."""

    async def stop(self, grace: float) -> None:
        """Ends: see `Subscription`."""
        self._is_ending = True
        self._group.news.set()
        _, late = await asyncio.wait(self._workers, timeout=grace)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        # Somebody else of the group may have been woken in vain.
        self._group.news.set()


class MemoryAdapter(Adapter):
    """Channels of all brokers of this process that name the same place.

    Args:
        place: which.
        prefix: before the names of dead letters' channels.
    """

    def __init__(self, place: str, prefix: str) -> None:
        self._channels, self._prefix = _Channels.named(place), prefix

    def prefixed(self, name: str) -> str:
        """A channel's whole name."""
        return f"{self._prefix}.{name}" if self._prefix else name

    def group(self, name: str, group: str) -> _Group:
        """What waits for a group; it is there from now on."""
        groups = self._channels.groups.setdefault(name, {})
        return groups.setdefault(group, _Group())

    async def publish(self, name: str, payload: bytes, headers: Mapping[str, str], most: int | None = None) -> None:
        """Every group has it at once."""
        for group in self._channels.groups.get(name, {}).values():
            group.put(Message(payload, headers, 1))

    def subscribe(self, channel: ChannelSchema, name: str, consumer: str, handle: Handle) -> MemorySubscription:
        """Listens: see `Adapter`."""
        return MemorySubscription(self, channel, name, handle)

    def know_node(self, node_id: str, is_there: bool) -> None:
        """Nodes of this process leave with their messages put back."""

    async def close(self) -> None:
        """Nothing is open."""
