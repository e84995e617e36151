"""The cacher in Redis, in the form of Moleculer's: nodes of both languages share what they keep."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

from ...errors import ConfigurationError
from ..errors import MoleculerError
from ..payloads import packed, plain, unpacked
from .cacher import Cacher, Unlock, listed

_TIMEOUT = 5.0
_SCAN = 100
_AGAIN = 0.2
"""Seconds between two tries for a lock, as Redlock has them."""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisCacher(Cacher):
    """Keeps answers in Redis. While Redis is away, actions run as if nothing was kept, and `$cacher.error` is told.

    Args:
        url: where it is.
        ttl: seconds that an answer is kept; for ever unless given.
        prefix: before all keys; `MOL-`, with the namespace in it, unless given.
        serializer: `"json"` or `"msgpack"`; that of the other nodes.
        ping_interval: milliseconds between two looks whether Redis is there; 0: none.
        max_params_length, keygen: see `Cacher`.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        serializer: str = "json",
        ping_interval: float = 0,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._url, self._packs, self._ping_interval = url, serializer.lower() == "msgpack", ping_interval
        self._client: Any = None
        self._pinging: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Makes a client; it connects when it is first used.

        Raises:
            ConfigurationError: the package redis is missing, or the URL is none of Redis's.
        """
        try:
            from redis.asyncio import Redis
        except ImportError as missing:
            raise ConfigurationError(
                'a Redis cacher needs the package redis: pip install "ironbridge[mesh]"'
            ) from missing
        try:
            self._client = Redis.from_url(self._url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
        except ValueError as error:
            raise ConfigurationError(f"cacher {self._url!r}: {error}") from error
        if self._ping_interval > 0:
            self._pinging = asyncio.create_task(self._ping())

    async def close(self) -> None:
        """Lets the connections go."""
        if self._pinging is not None:
            self._pinging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pinging
        await self._client.aclose()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._ping_interval / 1000)
            try:
                await self._client.ping()
                self.connected = True
            except Exception as error:  # whatever the client raises of a server that is away
                self.connected = False
                await self._failed(error, "failedSendPing")

    async def _failed(self, error: Exception, kind: str = "clientError") -> None:
        self.logger.warning("the cacher's Redis did not answer: %s", error)
        told = MoleculerError(str(error), 500, "CACHER_ERROR")
        await self.broker.broadcast_local("$cacher.error", {"error": told, "module": "cacher", "type": kind})

    def _named(self, key: str) -> str:
        return f"{self.prefix}{key}"

    async def get(self, key: str) -> Any:
        """The answer under a key; `None` when there is none, or Redis is away."""
        value, _ = await self._get(key, with_ttl=False)
        return value

    async def get_with_ttl(self, key: str) -> tuple[Any, float | None]:
        """The answer under a key, and the seconds that it is still kept."""
        return await self._get(key, with_ttl=True)

    async def _get(self, key: str, with_ttl: bool) -> tuple[Any, float | None]:
        self.count("get")
        end = self.timer("get")
        ttl: float | None = None
        try:
            if with_ttl:
                async with self._client.pipeline(transaction=False) as pipe:
                    pipe.get(self._named(key))
                    pipe.pttl(self._named(key))
                    data, left = await pipe.execute()
                ttl = left / 1000 if left > 0 else None
            else:
                data = await self._client.get(self._named(key))
        except Exception as error:  # as above
            await self._failed(error)
            return None, None
        finally:
            end()
        if data is None:
            return None, None
        try:
            value = unpacked(data) if self._packs else json.loads(data)
        except Exception:
            self.logger.exception("what is kept under %s cannot be read", key)
            return None, None
        self.count("found")
        return value, ttl

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keeps an answer."""
        self.count("set")
        end = self.timer("set")
        lasts = self.ttl if ttl is None else ttl
        data: bytes | str = (
            packed(value, "cached answer")
            if self._packs
            else json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False)
        )
        try:
            await self._client.set(self._named(key), data, px=int(lasts * 1000) if lasts else None)
        except Exception as error:  # as above
            await self._failed(error)
        finally:
            end()

    async def delete(self, keys: str | Iterable[str]) -> None:
        """Keeps nothing under a key, or several."""
        self.count("del")
        names = [self._named(key) for key in listed(keys)]
        try:
            if names:
                await self._client.delete(*names)
        except Exception as error:  # as above
            await self._failed(error)

    async def clean(self, patterns: str | Iterable[str] = "**") -> None:
        """Keeps nothing under keys that a pattern means."""
        self.count("clean")
        try:
            for pattern in listed(patterns):
                wanted = self._named(pattern.replace("**", "*"))
                batch: list[Any] = []
                async for key in self._client.scan_iter(match=wanted, count=_SCAN):
                    batch.append(key)
                    if len(batch) >= _SCAN:
                        await self._client.unlink(*batch)
                        batch.clear()
                if batch:
                    await self._client.unlink(*batch)
        except Exception as error:  # as above
            await self._failed(error)

    async def get_cache_keys(self) -> list[dict[str, Any]]:
        """All keys."""
        found = []
        async for key in self._client.scan_iter(match=self._named("*"), count=_SCAN):
            found.append({"key": key.decode(errors="replace").removeprefix(str(self.prefix))})
        return found

    async def lock(self, key: str, ttl: float) -> Unlock:
        """Waits until no node makes the answer of a key; as long as a lock lasts at most."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ttl / 1000
        while loop.time() < until:
            unlock = await self.try_lock(key, ttl)
            if unlock is not None:
                return unlock
            await asyncio.sleep(_AGAIN)
        return _unlocked

    async def try_lock(self, key: str, ttl: float) -> Unlock | None:
        """The lock of a key, if no node holds it."""
        name, mark = self._named(f"{key}-lock"), uuid.uuid4().hex
        try:
            if not await self._client.set(name, mark, nx=True, px=int(ttl)):
                return None
        except Exception as error:  # as above: without Redis, nobody waits for anybody
            await self._failed(error)
            return _unlocked

        async def unlock() -> None:
            # Otherwise it ends by itself.
            with contextlib.suppress(Exception):
                await self._client.eval(_RELEASE, 1, name, mark)

        return unlock


async def _unlocked() -> None:
    return None
