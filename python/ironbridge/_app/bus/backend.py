"""What keeps messages until their time, in Redis, in the original's own form; its beat and ours drain it alike."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigurationError, ServiceUnavailable
from .broker import Broker, Later, Outgoing

log = logging.getLogger("ironbridge.app.bus")

DELAYED = "delayed_messages"
_TIMEOUT = 10.0

# Takes what is due: its ids from the set, their texts from their keys, both at once.
_CLAIM = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local found = {}
for _, id in ipairs(ids) do
  local text = redis.call('GET', KEYS[2] .. id)
  if text then found[#found + 1] = id; found[#found + 1] = text end
  if not text then redis.call('ZREM', KEYS[1], id) end
end
return found
"""


@dataclass(frozen=True)
class RedisMessageBrokerBackend:
    """Messages that wait for their time, in Redis.

    Args:
        url: `redis://…`, `rediss://…`, or a socket's: `redis-socket:///path`, `rediss+socket:///path`.
        delayed_messages_batch_size: how many that are due are taken at once.
        lock_ttl_seconds, lock_blocking_timeout_seconds: of the lock that a beat holds.
        prefix: before the names of all keys; the original has none, so that applications of one database must not
            share it.
    """

    url: str
    delayed_messages_batch_size: int = 500
    lock_ttl_seconds: float = 30.0
    lock_blocking_timeout_seconds: float = 5.0
    prefix: str = ""

    async def publish_later(self, message: Outgoing, later: Later) -> None:
        """Keeps a message until its time.

        Raises:
            ServiceUnavailable: Redis could not be reached.
        """
        key = later.idempotency_key or str(uuid.uuid4())
        text = json.dumps(
            {
                "message_topic": message.topic,
                "idempotency_key": later.idempotency_key,
                "dispatch_time": int(later.at),
                "payload": message.body.decode(),
                "headers": dict(message.headers),
                "target_queue": message.target,
                "message_id": message.message_id,
                "content_type": message.content_type,
                "payload_policy": later.payload_policy,
                "time_policy": later.time_policy,
                "content_encoding": None,
            },
            ensure_ascii=False,
            separators=(",", ":"),
        )
        only_new = later.idempotency_key is not None and later.payload_policy == "ignore"
        changes = {"greater": {"gt": True}, "lesser": {"lt": True}}.get(later.time_policy, {})

        async def keep(redis: Any) -> None:
            async with redis.pipeline(transaction=True) as pipe:
                pipe.set(f"{self.prefix}{DELAYED}_metadata:{key}", text, nx=only_new)
                pipe.zadd(f"{self.prefix}{DELAYED}", {key: int(later.at)}, **changes)
                await pipe.execute()

        await self._with(keep)

    async def drain(self, broker: Broker, now: float) -> int:
        """Publishes what is due, and forgets each message when the broker has it: after a crash between the two it is
        published again. How many there were.

        Raises:
            ServiceUnavailable: Redis, or the broker, could not be reached; what is left stays.
        """

        async def take(redis: Any) -> int:
            keys = (f"{self.prefix}{DELAYED}", f"{self.prefix}{DELAYED}_metadata:")
            claim = redis.register_script(_CLAIM)
            found = await claim(keys=keys, args=[int(now), self.delayed_messages_batch_size])
            pairs = list(zip(found[::2], found[1::2], strict=True))
            for id_, text in pairs:
                await _sent(broker, text)
                async with redis.pipeline(transaction=True) as pipe:
                    pipe.zrem(keys[0], id_)
                    pipe.delete(f"{keys[1]}{id_.decode()}")
                    await pipe.execute()
            return len(pairs)

        count: int = await self._with(take)
        return count

    async def _with(self, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        client = connect(self.url)
        try:
            async with asyncio.timeout(_TIMEOUT):
                return await work(client)
        except (OSError, TimeoutError, _redis_error()) as error:
            raise ServiceUnavailable(f"Redis at {self._place()} could not keep or give messages: {error}") from error
        finally:
            await client.aclose()

    def _place(self) -> str:
        return self.url.rpartition("@")[2]


async def _sent(broker: Broker, text: bytes) -> None:
    try:
        told = json.loads(text)
        message = Outgoing(
            topic=told["message_topic"],
            body=told["payload"].encode(),
            is_task=False,
            headers=told.get("headers") or {},
            message_id=told.get("message_id"),
            target=told.get("target_queue"),
            content_type=told.get("content_type"),
        )
    except (ValueError, KeyError, AttributeError) as error:
        log.error("a delayed message cannot be read, and is dropped: %s", error)
        return
    await broker.publish(message)


def connect(url: str) -> Any:
    """A client of Redis.

    Raises:
        ConfigurationError: the package redis is missing, or the URL is none of Redis's.
    """
    try:
        from redis.asyncio import Redis
    except ImportError as missing:
        raise ConfigurationError('Redis needs the package redis: pip install "ironbridge[app]"') from missing
    for socket, own in (("redis-socket://", "unix://"), ("rediss+socket://", "unix://")):
        if url.startswith(socket):
            url = own + url.removeprefix(socket)
    try:
        return Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=5)
    except ValueError as error:
        raise ConfigurationError(f"{url!r}: {error}") from error


def _redis_error() -> type[Exception]:
    from redis.exceptions import RedisError

    return RedisError


def backend_of(given: RedisMessageBrokerBackend | str | None) -> RedisMessageBrokerBackend | None:
    """A backend, by its URL or as it is."""
    return RedisMessageBrokerBackend(given) if isinstance(given, str) else given
