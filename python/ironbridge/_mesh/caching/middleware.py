"""Caching around actions: an answer that is kept is given at once; neither validation nor hooks run then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import BrokerOptionsError
from ..schema import ActionSchema, snake
from .cacher import Cacher
from .memory import MemoryCacher, MemoryLRUCacher
from .redis import RedisCacher

Handler = Callable[[Any], Awaitable[Any]]

_LOCK_TTL = 15_000.0
"""Milliseconds: Moleculer's own."""


class Caching:
    """Keeps answers of actions that ask for it by `cache`.

    Args:
        broker: whose they are.
        cacher: where they are kept.
    """

    def __init__(self, broker: Any, cacher: Cacher) -> None:
        self._cacher = cacher
        self._refreshing: set[asyncio.Task[None]] = set()
        cacher.init(broker)

    async def starting(self, _broker: Any) -> None:
        """Opens the cacher."""
        await self._cacher.start()

    async def stopped(self, _broker: Any) -> None:
        """Closes it."""
        if self._refreshing:
            await asyncio.wait(list(self._refreshing), timeout=5)
        await self._cacher.close()

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action, whose answers are kept; itself if they are not to be."""
        given = action.cache
        if not given:
            return next
        told = {snake(str(name)): value for name, value in given.items()} if isinstance(given, Mapping) else {}
        enabled, ttl = told.get("enabled", True), told.get("ttl")
        if enabled is False:
            return next
        key_of = self._cacher.keys.maker(action.name, told.get("keys"), told.get("keygen"))
        lock = told.get("lock")
        locks = {snake(str(name)): value for name, value in lock.items()} if isinstance(lock, Mapping) else {}
        is_locked = bool(lock) and locks.get("enabled", True) is not False
        missing = told.get("missing_response")
        cacher = self._cacher

        def is_off(ctx: Any) -> bool:
            return (callable(enabled) and not enabled(ctx)) or ctx.meta.get("$cache") is False or not cacher.connected

        async def plain(ctx: Any) -> Any:
            if is_off(ctx):
                return await next(ctx)
            key = key_of(ctx)
            found = await cacher.get(key)
            if found is not None:
                ctx.cached_result = True
                return found
            return await self._made(next, ctx, key, ttl, missing)

        async def locked(ctx: Any) -> Any:
            if is_off(ctx):
                return await next(ctx)
            key = key_of(ctx)
            found, left = await cacher.get_with_ttl(key)
            if found is not None:
                ctx.cached_result = True
                stale = locks.get("stale_time")
                if stale and left is not None and left < stale:
                    self._refresh(next, ctx, key, ttl, locks)
                return found
            unlock = await cacher.lock(key, locks.get("ttl") or _LOCK_TTL)
            try:
                found = await cacher.get(key)
                if found is not None:
                    ctx.cached_result = True
                    return found
                return await self._made(next, ctx, key, ttl, missing)
            finally:
                await unlock()

        return locked if is_locked else plain

    async def _made(self, next: Handler, ctx: Any, key: str, ttl: float | None, missing: Any) -> Any:
        answer = await next(ctx)
        if answer is not None and not hasattr(answer, "__aiter__"):
            await self._cacher.set(key, answer, ttl)
        elif answer is None and missing is not None:
            await self._cacher.set(key, missing, ttl)
        return answer

    def _refresh(self, next: Handler, ctx: Any, key: str, ttl: float | None, locks: Mapping[str, Any]) -> None:
        """Makes an answer anew that is soon over, unless somebody does already."""

        async def refresh() -> None:
            unlock = await self._cacher.try_lock(key, locks.get("ttl") or _LOCK_TTL)
            if unlock is None:
                return
            try:
                await self._cacher.set(key, await next(ctx), ttl)
            except Exception:
                self._cacher.logger.exception("what is kept under %s could not be made anew", key)
                await self._cacher.delete(key)
            finally:
                await unlock()

        task = asyncio.create_task(refresh())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshing.discard)


def cacher_of(given: Any) -> Cacher:
    """The cacher that a broker's option tells of: `True`, `"memory"`, `"memory-lru"`, `"redis"`, a Redis's URL,
    `{"type": …, "options": {…}}`, or one itself.

    Raises:
        BrokerOptionsError: it is none of these.
    """
    if isinstance(given, Cacher):
        return given
    if given is True:
        return MemoryCacher()
    options: dict[str, Any] = {}
    kind = given
    if isinstance(given, Mapping):
        kind = given.get("type", "memory")
        options = {snake(str(name)): value for name, value in (given.get("options") or {}).items()}
    if isinstance(kind, str):
        if kind.startswith(("redis://", "rediss://", "unix://")):
            return RedisCacher(kind, **options)
        name = kind.lower().replace("-", "").replace("_", "")
        if name == "memory":
            return MemoryCacher(**options)
        if name == "memorylru":
            return MemoryLRUCacher(**options)
        if name == "redis":
            if (place := options.pop("redis", None)) is not None:
                options["url"] = _url(place)
            return RedisCacher(**options)
    raise BrokerOptionsError(
        f"cacher={given!r}: give True, 'memory', 'memory-lru', 'redis', 'redis://…', a dict of type and options, or a Cacher"
    )


def _url(place: Any) -> str:
    """A Redis as Moleculer's options have it: a URL, or its parts."""
    if isinstance(place, str):
        return place
    host, port = place.get("host", "localhost"), place.get("port", 6379)
    word = f":{place['password']}@" if place.get("password") else ""
    return f"redis://{word}{host}:{port}/{place.get('db', 0)}"
