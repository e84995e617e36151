"""Channels in Redis Streams, in the form of `@moleculer/channels`: nodes of both languages share groups.

A channel is a stream, whose entries have the fields `payload` and `headers`; a group is a consumer group of it. What is
handled is pending until it is acknowledged, so that it outlives its handler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigurationError, PayloadError
from .adapter import FIRST_PAUSE, MOST_PAUSE, Adapter, Handle, Message, outcome_of, unreachable
from .envelope import ORIGINAL_CHANNEL, ORIGINAL_GROUP, ORIGINAL_ID, read, written
from .schema import ChannelSchema

log = logging.getLogger("ironbridge.mesh.channels")

_BLOCK = 2000
"""Milliseconds that a read waits: the reader looks up now and then."""
_SILENCE = 10.0
"""Seconds after which a server that says nothing is taken for lost."""
_MOST_PENDING = 100

Entry = tuple[bytes, dict[bytes, bytes]]


class RedisAdapter(Adapter):
    """Channels at a Redis.

    Args:
        url: where it is.
        prefix: before the names of dead letters' channels.
        send_timeout: seconds for the server to have what is sent.

    Raises:
        ConfigurationError: the package redis is missing, or the URL is none of Redis's.
    """

    def __init__(self, url: str, prefix: str, send_timeout: float) -> None:
        try:
            from redis.asyncio import Redis
            from redis.exceptions import RedisError
        except ImportError as missing:
            raise ConfigurationError(
                'channels in Redis need the package redis: pip install "ironbridge[mesh]"'
            ) from missing
        self.lost = (RedisError, OSError)
        self._make, self._url, self._prefix, self._timeout = Redis, url, prefix, send_timeout
        self._subscriptions: list[RedisSubscription] = []
        self._live: set[str] = set()
        try:
            self.client = self.connect()
        except ValueError as wrong:
            raise ConfigurationError(f"channels: {wrong}") from wrong
        pool = self.client.connection_pool.connection_kwargs
        self.place = f"{pool.get('host', pool.get('path', ''))}:{pool.get('port', '')}"

    def connect(self) -> Any:
        """A client of its own: one that waits for messages holds up all others."""
        return self._make.from_url(self._url, socket_timeout=_SILENCE, socket_connect_timeout=_SILENCE)

    def prefixed(self, name: str) -> str:
        """A channel's whole name."""
        return f"{self._prefix}.{name}" if self._prefix else name

    async def publish(self, name: str, payload: bytes, headers: Mapping[str, str], most: int | None) -> None:
        """Adds it to the stream: see `Adapter`."""
        fields = {"payload": payload, **({"headers": written(headers)} if headers else {})}
        try:
            async with asyncio.timeout(self._timeout):
                await self.client.xadd(name, fields, maxlen=most, approximate=True)
        except TimeoutError:
            raise unreachable(self.place, f"no answer within {self._timeout:g} s; it may have it") from None
        except self.lost as error:
            raise unreachable(self.place, error) from error

    def subscribe(self, channel: ChannelSchema, name: str, consumer: str, handle: Handle) -> RedisSubscription:
        """Listens: see `Adapter`."""
        subscription = RedisSubscription(self, channel, name, consumer, handle)
        self._subscriptions.append(subscription)
        return subscription

    def know_node(self, node_id: str, is_there: bool) -> None:
        """What a node that has gone was handling is taken over at once."""
        start = self.prefixed(f"{node_id}.")
        if is_there:
            self._live.add(start)
        else:
            self._live.discard(start)
        for one in self._subscriptions:
            if is_there:
                one.departed.discard(start)
            else:
                one.departed.add(start)

    def is_live(self, consumer: str, start: str) -> bool:
        """Whether a consumer is a live node's, whose id begins with that of the one that has gone (`web`, `web.2`)."""
        return any(len(one) > len(start) and consumer.startswith(one) for one in self._live)

    def forget(self, subscription: RedisSubscription) -> None:
        """A subscription has ended."""
        self._subscriptions.remove(subscription)

    async def close(self) -> None:
        """Disconnects."""
        await self.client.aclose()


class RedisSubscription:
    """One consumer of a group: one task reads new entries, another takes over those that nobody works on."""

    def __init__(self, adapter: RedisAdapter, channel: ChannelSchema, name: str, consumer: str, handle: Handle) -> None:
        self._adapter, self._channel, self._name, self._handle = adapter, channel, name, handle
        self._consumer = consumer
        self._idle = int(channel.redis.get("min_idle_time", 3_600_000))
        self._pause = float(channel.redis.get("claim_interval", 1000)) / 1000
        self._start_id = str(channel.redis.get("start_id", "$"))
        self._active: dict[str, asyncio.Task[None]] = {}
        self._waiting: set[str] = set()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_known, self._is_ending = False, False
        self._is_there = asyncio.Event()
        self.departed: set[str] = set()
        self._left: set[str] = set()
        """Entries that Redis holds for this very consumer, and nobody here works on."""
        self._reader = adapter.connect()
        self._tasks = [asyncio.create_task(self._often(self._read)), asyncio.create_task(self._often(self._look))]

    # ---- reading -----------------------------------------------------------------------------------------

    async def _often(self, step: Any) -> None:
        """Takes a step again and again, whatever the server does."""
        pause = FIRST_PAUSE
        while not self._is_ending:
            try:
                await self._know()
                await step()
            except self._adapter.lost as error:
                if "NOGROUP" in str(error):
                    # A Redis that keeps nothing has started anew: what was sent since then is all new.
                    self._is_known, self._start_id = False, "0"
                elif pause == FIRST_PAUSE:
                    log.warning("%s: Redis at %s is away: %s", self._channel.place, self._adapter.place, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, MOST_PAUSE)
            else:
                pause = FIRST_PAUSE

    async def _know(self) -> None:
        if self._is_known:
            return
        try:
            await self._adapter.client.xgroup_create(self._name, self._channel.group, self._start_id, mkstream=True)
        except self._adapter.lost as error:
            if "BUSYGROUP" not in str(error):
                raise
        # Of an earlier run of this very consumer, which has not ended in good order. Looked for before anything is read:
        # what is on its way to the reader looks the same to Redis.
        left = await self._held_by_redis()
        if not self._is_known:
            self._is_known = True
            self._is_there.set()
            self._left |= left

    async def _held_by_redis(self) -> set[str]:
        """The entries that wait for this consumer's word."""
        found: set[str] = set()
        start = "-"
        while True:
            rows = await self._adapter.client.xpending_range(
                self._name, self._channel.group, start, "+", _MOST_PENDING, self._consumer
            )
            found |= {row["message_id"].decode() for row in rows}
            if len(rows) < _MOST_PENDING:
                return found
            start = f"({rows[-1]['message_id'].decode()}"

    async def _read(self) -> None:
        await self._has_room.wait()
        room = self._channel.max_in_flight - len(self._active)
        answer = await self._reader.xreadgroup(
            self._channel.group, self._consumer, {self._name: ">"}, count=room, block=_BLOCK
        )
        for _, entries in answer.items() if isinstance(answer, dict) else answer or ():
            for one in entries[0] if entries and isinstance(entries[0], list) else entries:
                self._begin(one, 1)

    async def _look(self) -> None:
        await asyncio.sleep(self._pause)
        await self._keep_own()
        client, name, group = self._adapter.client, self._name, self._channel.group
        for entry_id in [one for one in self._left if self._is_free(one)]:
            rows = await client.xpending_range(name, group, entry_id, entry_id, 1)
            is_own = bool(rows) and rows[0]["consumer"].decode() == self._consumer
            if not is_own or await self._take(rows[0]["message_id"], rows[0]["times_delivered"], 0):
                self._left.discard(entry_id)
        for start in list(self.departed):
            rows = await client.xpending_range(name, group, "-", "+", _MOST_PENDING)
            left = [row for row in rows if self._is_left(row, start)]
            for row in left:
                await self._take(row["message_id"], row["times_delivered"], 0)
            # What there was no room for, or no view of yet, is looked for again.
            if not left and len(rows) < _MOST_PENDING:
                self.departed.discard(start)
        if self._has_room.is_set():
            for row in await client.xpending_range(name, group, "-", "+", _MOST_PENDING, idle=self._idle):
                if self._is_free(row["message_id"].decode()):
                    await self._take(row["message_id"], row["times_delivered"], self._idle)

    def _is_left(self, row: dict[str, Any], start: str) -> bool:
        consumer = row["consumer"].decode()
        is_its = consumer.startswith(start) and not self._adapter.is_live(consumer, start)
        return is_its and self._is_free(row["message_id"].decode())

    def _is_free(self, entry_id: str) -> bool:
        """Whether it is neither handled here nor about to be tried again."""
        return entry_id not in self._active and entry_id not in self._waiting

    async def _keep_own(self) -> None:
        """What is handled here is not idle, however long that takes."""
        if self._active:
            await self._adapter.client.xclaim(
                self._name, self._channel.group, self._consumer, 0, list(self._active), justid=True
            )

    async def _take(self, entry_id: bytes, delivered: int, idle: int) -> bool:
        """Whether there was room to take an entry."""
        if len(self._active) >= self._channel.max_in_flight:
            return False
        for one in await self._adapter.client.xclaim(self._name, self._channel.group, self._consumer, idle, [entry_id]):
            self._begin(one, delivered + 1)
        return True

    # ---- handling ----------------------------------------------------------------------------------------

    def _begin(self, entry: Entry, attempt: int) -> None:
        entry_id = entry[0].decode()
        self._active[entry_id] = asyncio.create_task(self._one(entry_id, entry[1], attempt))
        if len(self._active) >= self._channel.max_in_flight:
            self._has_room.clear()

    async def _one(self, entry_id: str, fields: dict[bytes, bytes], attempt: int) -> None:
        try:
            await self._handled(entry_id, fields or {}, attempt)
        except self._adapter.lost as error:
            log.warning("%s: what became of a message is not known to Redis: %s", self._channel.place, error)
            self._left.add(entry_id)  # it is still pending, and comes again
        finally:
            self._active.pop(entry_id, None)
            self._has_room.set()

    async def _handled(self, entry_id: str, fields: dict[bytes, bytes], attempt: int) -> None:
        payload, channel = fields.get(b"payload", b""), self._channel
        headers = _headers(fields.get(b"headers"))
        outcome = await outcome_of(channel, self._handle, Message(payload, headers, attempt), log)
        if outcome == "again":
            self._waiting.add(entry_id)
            asyncio.get_running_loop().call_later(channel.retry_delay / 1000, self._again, entry_id, attempt)
            return
        async with self._adapter.client.pipeline(transaction=True) as pipeline:
            if outcome == "dead" and channel.dead_letters:
                told = {
                    **headers,
                    ORIGINAL_ID: entry_id,
                    ORIGINAL_CHANNEL: self._name,
                    ORIGINAL_GROUP: channel.group,
                }
                letters = self._adapter.prefixed(channel.dead_letters)
                pipeline.xadd(letters, {"payload": payload, "headers": written(told)})
            pipeline.xack(self._name, channel.group, entry_id)
            await pipeline.execute()

    def _again(self, entry_id: str, attempt: int) -> None:
        if not self._is_ending:
            self._tasks.append(asyncio.create_task(self._try_again(entry_id, attempt)))

    async def _try_again(self, entry_id: str, attempt: int) -> None:
        try:
            while len(self._active) >= self._channel.max_in_flight:
                self._has_room.clear()
                await self._has_room.wait()
            await self._take(entry_id.encode(), attempt, 0)
        except self._adapter.lost as error:
            log.warning("%s: a message is tried again later than it should: %s", self._channel.place, error)
            self._left.add(entry_id)
        finally:
            self._waiting.discard(entry_id)
            self._tasks = [one for one in self._tasks if one is not asyncio.current_task()]

    async def ready(self) -> None:
        """The group is there: see `Subscription`."""
        await self._is_there.wait()

    async def stop(self, grace: float) -> None:
        """Ends: see `Subscription`."""
        self._is_ending = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._adapter.forget(self)
        handled = list(self._active.values())
        if handled:
            _, late = await asyncio.wait(handled, timeout=grace)
            for one in late:
                one.cancel()
            await asyncio.gather(*handled, return_exceptions=True)
        await self._reader.aclose()


def _headers(data: bytes | None) -> dict[str, str]:
    """Headers come from others: whatever else they are, they are texts here."""
    if not data:
        return {}
    try:
        found = read(data)
    except PayloadError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
