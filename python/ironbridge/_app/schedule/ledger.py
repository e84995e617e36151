"""What the fleet knows of each action: which times were taken, and whether it runs somewhere."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from ...errors import ServiceUnavailable

_TAKEN = 24 * 3600
"""Seconds for which it is known that a time was taken."""
_LEASE = 30.0
"""Seconds for which a run is known to go on when its process says nothing more."""

# Deletes a key that still has this value.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"


class Ledger(Protocol):
    """Of one process, or of all."""

    async def last(self, name: str) -> datetime | None:
        """The last time of an action that was taken."""

    async def take(self, name: str, due: datetime) -> bool:
        """Takes a time of an action; whether nobody else has."""

    def running(self, name: str) -> Any:
        """An asynchronous context within which an action runs; gives whether it runs nowhere else."""

    async def close(self) -> None:
        """Lets it go."""


class ProcessLedger:
    """That of one process."""

    def __init__(self) -> None:
        self._last: dict[str, datetime] = {}

    async def last(self, name: str) -> datetime | None:
        """The last time that was taken."""
        return self._last.get(name)

    async def take(self, name: str, due: datetime) -> bool:
        """Takes a time."""
        if (last := self._last.get(name)) is not None and due <= last:
            return False
        self._last[name] = due
        return True

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[bool]:
        """It runs here alone: its runner knows whether it does already."""
        yield True

    async def close(self) -> None:
        """Ends."""


class RedisLedger:
    """That of all processes that meet at a Redis.

    Keys: `last_dispatch_time:NAME` as the original's beat has it, `ironbridge:tick:NAME:TIME` for each time that was
    taken, `ironbridge:running:NAME` while a run goes on, renewed by its process.
    """

    def __init__(self, url: str) -> None:
        from ..bus.backend import connect

        self._redis = connect(url)

    async def last(self, name: str) -> datetime | None:
        """The last time that was taken."""
        text = await self._asked(self._redis.get(f"last_dispatch_time:{name}"))
        return datetime.fromtimestamp(int(text), UTC) if text else None

    async def take(self, name: str, due: datetime) -> bool:
        """Takes a time, once across the fleet."""
        key = f"ironbridge:tick:{name}:{due.timestamp():.3f}"
        taken = await self._asked(self._redis.set(key, 1, nx=True, ex=_TAKEN))
        if taken:
            await self._asked(self._redis.set(f"last_dispatch_time:{name}", int(due.timestamp())))
        return bool(taken)

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[bool]:
        """Holds a lease while it runs; gives whether it was free."""
        key, mark = f"ironbridge:running:{name}", uuid.uuid4().hex
        lease = int(_LEASE * 1000)
        if not await self._asked(self._redis.set(key, mark, nx=True, px=lease)):
            yield False
            return
        renewing = asyncio.create_task(self._renew(key, mark, lease))
        try:
            yield True
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            # Otherwise it ends by itself, when its lease does.
            with contextlib.suppress(ServiceUnavailable):
                await self._asked(self._redis.eval(_RELEASE, 1, key, mark))

    async def _renew(self, key: str, mark: str, lease: int) -> None:
        while True:
            await asyncio.sleep(_LEASE / 3)
            with contextlib.suppress(ServiceUnavailable):
                await self._asked(self._redis.eval(_RENEW, 1, key, mark, lease))

    async def close(self) -> None:
        """Ends the connection."""
        await self._redis.aclose()

    async def _asked(self, answer: Any) -> Any:
        from redis.exceptions import RedisError

        try:
            return await answer
        except (RedisError, OSError) as error:
            raise ServiceUnavailable(f"Redis, where the schedule is kept, did not answer: {error}") from error
