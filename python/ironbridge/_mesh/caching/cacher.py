"""What every cacher can do; derive from it for one of your own."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from .keys import Keys

Unlock = Callable[[], Awaitable[None]]


class Cacher(ABC):
    """Keeps answers.

    Args:
        ttl: seconds that one is kept; for ever unless given.
        max_params_length: characters of the parameters in a key at most; 0: no bound.
        keygen: makes keys in place of the usual: a function of `(action name, params, meta, keys)`.
        prefix: before all keys.
    """

    def __init__(
        self,
        ttl: float | None = None,
        max_params_length: int = 0,
        keygen: Callable[..., str] | None = None,
        prefix: str | None = None,
    ) -> None:
        self.ttl, self._max_params_length, self._keygen = ttl, max_params_length, keygen
        self.prefix, self.connected = prefix, True
        self._locks = Locks()

    def init(self, broker: Any) -> None:
        """Called once, with whose it is."""
        self.broker = broker
        self.logger = broker.get_logger("cacher")
        if self.prefix is None:
            self.prefix = f"{broker.topic_prefix}-"
        self.keys = Keys(str(broker.options.protocol) == "5", self._max_params_length, self._keygen)

    async def start(self) -> None:
        """Called when the broker starts."""
        self.connected = True

    async def close(self) -> None:
        """Called when the broker has stopped."""
        self.connected = False

    def get_cache_key(
        self, action: str, params: Any, meta: Mapping[str, Any] | None = None, keys: Sequence[str] | None = None
    ) -> str:
        """The key of a call."""
        return self.keys.key(action, params, meta, keys)

    @abstractmethod
    async def get(self, key: str) -> Any:
        """The answer under a key; `None` when there is none."""

    async def get_with_ttl(self, key: str) -> tuple[Any, float | None]:
        """The answer under a key, and the seconds that it is still kept."""
        return await self.get(key), None

    @abstractmethod
    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keeps an answer under a key, for so many seconds; for the cacher's unless given."""

    @abstractmethod
    async def delete(self, keys: str | Iterable[str]) -> None:
        """Keeps nothing under a key, or several."""

    @abstractmethod
    async def clean(self, patterns: str | Iterable[str] = "**") -> None:
        """Keeps nothing under keys that a pattern means: `*` is one part of a key, `**` any number."""

    @abstractmethod
    async def get_cache_keys(self) -> list[dict[str, Any]]:
        """All keys, each as `{"key": …}`, with `expiresAt` where it ends."""

    async def lock(self, key: str, ttl: float) -> Unlock:
        """Waits until nobody else makes the answer of a key; gives what lets others.

        Args:
            key: the key.
            ttl: milliseconds after which others may in any case.
        """
        return await self._locks.acquire(key)

    async def try_lock(self, key: str, ttl: float) -> Unlock | None:
        """The same without waiting; `None` when somebody else does."""
        return self._locks.try_acquire(key)

    def count(self, name: str) -> None:
        """Counts one in `moleculer.cacher.NAME.total`, where there are metrics."""
        if self.broker.metrics is not None:
            self.broker.metrics.increment(f"moleculer.cacher.{name}.total")

    def timer(self, name: str) -> Callable[[], Any]:
        """Takes the time for `moleculer.cacher.NAME.time`; called at the end."""
        if self.broker.metrics is None:
            return _nothing
        end: Callable[[], Any] = self.broker.metrics.timer(f"moleculer.cacher.{name}.time")
        return end


def _nothing() -> None:
    return None


class Locks:
    """Locks by key, of one process; those who wait get them in turn."""

    def __init__(self) -> None:
        self._held: dict[str, deque[asyncio.Future[None]]] = {}

    async def acquire(self, key: str) -> Unlock:
        """Waits for one."""
        waiting = self._held.get(key)
        if waiting is None:
            self._held[key] = deque()
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._release(key)
                raise
        return self._unlock(key)

    def try_acquire(self, key: str) -> Unlock | None:
        """One that is free."""
        if key in self._held:
            return None
        self._held[key] = deque()
        return self._unlock(key)

    def _unlock(self, key: str) -> Unlock:
        is_held = True

        async def unlock() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._release(key)

        return unlock

    def _release(self, key: str) -> None:
        waiting = self._held[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._held[key]


def listed(given: str | Iterable[str]) -> list[str]:
    """One, or several, as a list."""
    return [given] if isinstance(given, str) else list(given)


def now() -> float:
    """Seconds that only grow."""
    return time.monotonic()
