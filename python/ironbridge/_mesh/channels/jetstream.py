"""Channels in NATS JetStream, in the form of `@moleculer/channels`: nodes of both languages share groups.

A channel is a stream of its own, a group a durable consumer of it that pushes to one of those who listen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ...errors import ConfigurationError
from .adapter import FIRST_PAUSE, MOST_PAUSE, Adapter, Handle, Message, outcome_of, unreachable
from .envelope import ORIGINAL_CHANNEL, ORIGINAL_GROUP
from .schema import ChannelSchema

log = logging.getLogger("ironbridge.mesh.channels")

_CONNECT = 5.0
"""Seconds for one try to connect."""


class JetStreamAdapter(Adapter):
    """Channels at a NATS server with JetStream.

    Args:
        url: where it is.
        prefix: before the names of dead letters' channels.
        send_timeout: seconds for the server to have what is sent.
        options: `stream`: what streams are made with (`{"num_replicas": 3}` …).

    Raises:
        ConfigurationError: the package nats-py is missing.
    """

    def __init__(self, url: str, prefix: str, send_timeout: float, options: Mapping[str, Any]) -> None:
        try:
            import nats
            from nats.js import api, errors
        except ImportError as missing:
            raise ConfigurationError("channels in JetStream need the package nats-py: pip install nats-py") from missing
        self.api, self.errors, self._nats = api, errors, nats
        self.lost = (nats.errors.Error, OSError, TimeoutError)
        self._url, self._prefix, self.timeout, self._options = url, prefix, send_timeout, options
        self.place = urlsplit(url).netloc.rpartition("@")[2]
        self._client: Any = None
        self._connecting = asyncio.Lock()

    def prefixed(self, name: str) -> str:
        """A channel's whole name."""
        return f"{self._prefix}.{name}" if self._prefix else name

    async def client(self) -> Any:
        """The connection, which comes back by itself once it has been made."""
        async with self._connecting:
            if self._client is None:
                self._client = await self._nats.connect(
                    self._url,
                    connect_timeout=_CONNECT,
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=FIRST_PAUSE * 4,
                    error_cb=self._told,
                )
        return self._client

    async def _told(self, error: Exception) -> None:
        log.debug("NATS at %s: %s", self.place, error)

    async def have_stream(self, name: str, own: Mapping[str, Any] | None = None) -> None:
        """Has the stream of a channel there."""
        jetstream = (await self.client()).jetstream(timeout=self.timeout)
        told = {"name": stream_of(name), "subjects": [name], **(self._options.get("stream") or {}), **(own or {})}
        try:
            await jetstream.add_stream(self.api.StreamConfig(**told))
        except self.errors.BadRequestError as error:
            # "stream name already in use": with other properties, which are its maker's business.
            if error.err_code != 10058:
                raise

    async def publish(self, name: str, payload: bytes, headers: Mapping[str, str], most: int | None = None) -> None:
        """Adds it to the stream, which is made where it is missing: see `Adapter`."""
        try:
            async with asyncio.timeout(self.timeout):
                jetstream = (await self.client()).jetstream(timeout=self.timeout)
                try:
                    await jetstream.publish(name, payload, headers=dict(headers) or None)
                except self.errors.NoStreamResponseError:
                    await self.have_stream(name)
                    await jetstream.publish(name, payload, headers=dict(headers) or None)
        except TimeoutError:
            raise unreachable(self.place, f"no answer within {self.timeout:g} s; it may have it") from None
        except self.lost as error:
            raise unreachable(self.place, error) from error

    def subscribe(self, channel: ChannelSchema, name: str, consumer: str, handle: Handle) -> JetStreamSubscription:
        """Listens: see `Adapter`."""
        return JetStreamSubscription(self, channel, name, consumer, handle)

    def know_node(self, node_id: str, is_there: bool) -> None:
        """The server sees by itself who does not acknowledge."""

    async def close(self) -> None:
        """Disconnects."""
        if self._client is not None:
            await self._client.close()


class JetStreamSubscription:
    """One of those to whom a durable consumer pushes."""

    def __init__(
        self, adapter: JetStreamAdapter, channel: ChannelSchema, name: str, consumer: str, handle: Handle
    ) -> None:
        self._adapter, self._channel, self._name, self._handle = adapter, channel, name, handle
        self._subject = "".join("_" if sign in "*|>" else sign for sign in consumer)
        self._wait = float(channel.nats.get("ack_wait", 30_000)) / 1000
        self._active: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(int(channel.max_in_flight))
        self._listening: Any = None
        self._beginning = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
                return
            except self._adapter.lost as error:
                if pause == FIRST_PAUSE:
                    log.warning("%s: NATS at %s: %s", self._channel.place, self._adapter.place, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, MOST_PAUSE)

    async def _listen(self) -> None:
        adapter, channel = self._adapter, self._channel
        await adapter.have_stream(self._name, channel.nats.get("stream"))
        if channel.dead_letters:
            await adapter.have_stream(adapter.prefixed(channel.dead_letters))
        client = await adapter.client()
        jetstream = client.jetstream(timeout=adapter.timeout)
        stream, durable = stream_of(self._name), channel.group.replace(".", "_")
        try:
            known = await jetstream.consumer_info(stream, durable)
        except adapter.errors.NotFoundError:
            wanted = adapter.api.ConsumerConfig(
                durable_name=durable,
                deliver_subject=self._subject,
                deliver_group=stream,
                deliver_policy=adapter.api.DeliverPolicy.NEW,
                ack_policy=adapter.api.AckPolicy.EXPLICIT,
                ack_wait=self._wait,
                max_ack_pending=int(channel.max_in_flight),
                filter_subject=self._name,
            )
            known = await jetstream.add_consumer(stream, wanted)
        self._wait = known.config.ack_wait or self._wait
        queue = known.config.deliver_group or ""
        self._listening = await client.subscribe(known.config.deliver_subject, queue=queue, cb=self._came)

    async def _came(self, message: Any) -> None:
        if not message.reply.startswith("$JS.ACK"):
            return  # the server's signs of life
        await self._room.acquire()
        task = asyncio.create_task(self._one(message))
        self._active.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        self._room.release()

    async def _one(self, message: Any) -> None:
        channel = self._channel
        working = asyncio.create_task(self._work_on(message))
        try:
            headers = {str(name): str(value) for name, value in (message.headers or {}).items()}
            told = Message(message.data, headers, message.metadata.num_delivered or 1)
            outcome = await outcome_of(channel, self._handle, told, log)
            if outcome == "again":
                await message.nak(delay=channel.retry_delay / 1000)
                return
            if outcome == "dead" and channel.dead_letters:
                told_more = {**headers, ORIGINAL_CHANNEL: self._name, ORIGINAL_GROUP: channel.group}
                await self._adapter.publish(self._adapter.prefixed(channel.dead_letters), message.data, told_more)
            await message.ack()
        except asyncio.CancelledError:
            await asyncio.shield(message.nak())
            raise
        except Exception as error:
            log.warning("%s: what became of a message is not known to NATS: %s", channel.place, error)
        finally:
            working.cancel()

    async def _work_on(self, message: Any) -> None:
        """What is handled here is not given to others, however long that takes."""
        while True:
            await asyncio.sleep(self._wait / 3)
            try:
                await message.in_progress()
            except self._adapter.lost as error:
                log.debug("%s: %s", self._channel.place, error)

    async def ready(self) -> None:
        """The consumer is there: see `Subscription`."""
        await self._beginning

    async def stop(self, grace: float) -> None:
        """Ends: see `Subscription`."""
        self._beginning.cancel()
        await asyncio.gather(self._beginning, return_exceptions=True)
        if self._listening is not None:
            try:
                await self._listening.unsubscribe()
            except self._adapter.lost as error:
                log.debug("%s: %s", self._channel.place, error)
        handled = list(self._active)
        if handled:
            _, late = await asyncio.wait(handled, timeout=grace)
            for one in late:
                one.cancel()
            await asyncio.gather(*handled, return_exceptions=True)


def stream_of(name: str) -> str:
    """The stream of a channel: names of streams have no dots."""
    return name.replace(".", "_")
