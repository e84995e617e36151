"""The cachers in memory: one that keeps all until its time, and one that keeps so many."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..bus import matches
from .cacher import Cacher, listed, now

_SWEEP = 30.0
"""Seconds between two looks for what is over."""


@dataclass(slots=True)
class _Kept:
    value: Any
    until: float | None


class MemoryCacher(Cacher):
    """Keeps answers in this process.

    Args:
        clone: whether callers get copies (or a function that makes them), so that none can change what is kept.
        ttl, max_params_length, keygen: see `Cacher`.
    """

    def __init__(self, clone: bool | Callable[[Any], Any] = False, **given: Any) -> None:
        super().__init__(**{"prefix": "", **given})
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._copy = copy.deepcopy if clone is True else clone or None
        self._sweeping: asyncio.Task[None] | None = None

    def init(self, broker: Any) -> None:
        """Is emptied whenever the transporter connects: changes may have been missed meanwhile."""
        super().init(broker)
        broker.on("$transporter.connected", lambda *_: self._kept.clear())

    async def start(self) -> None:
        """Looks for what is over now and then."""
        await super().start()
        self._sweeping = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Forgets all."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeping
        self._kept.clear()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self.expire()

    def expire(self) -> None:
        """Forgets what is over."""
        moment = now()
        over = [key for key, kept in self._kept.items() if kept.until is not None and kept.until <= moment]
        for key in over:
            del self._kept[key]
            self.count("expired")

    async def get(self, key: str) -> Any:
        """The answer under a key; `None` when there is none."""
        value, _ = await self.get_with_ttl(key)
        return value

    async def get_with_ttl(self, key: str) -> tuple[Any, float | None]:
        """The answer under a key, and the seconds that it is still kept."""
        self.count("get")
        end = self.timer("get")
        kept = self._kept.get(key)
        if kept is not None and kept.until is not None and kept.until <= now():
            del self._kept[key]
            kept = None
        end()
        if kept is None:
            return None, None
        self.count("found")
        self._used(key)
        value = self._copy(kept.value) if self._copy is not None else kept.value
        return value, None if kept.until is None else kept.until - now()

    async def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keeps an answer."""
        self.count("set")
        end = self.timer("set")
        lasts = self.ttl if ttl is None else ttl
        kept = self._copy(value) if self._copy is not None else value
        self._kept[key] = _Kept(kept, now() + lasts if lasts else None)
        self._used(key)
        end()

    def _used(self, key: str) -> None:
        """A key was asked for, or set."""

    async def delete(self, keys: str | Iterable[str]) -> None:
        """Keeps nothing under a key, or several."""
        self.count("del")
        for key in listed(keys):
            self._kept.pop(key, None)

    async def clean(self, patterns: str | Iterable[str] = "**") -> None:
        """Keeps nothing under keys that a pattern means."""
        self.count("clean")
        for pattern in listed(patterns):
            for key in [key for key in self._kept if matches(pattern, key)]:
                del self._kept[key]

    async def get_cache_keys(self) -> list[dict[str, Any]]:
        """All keys."""
        self.expire()
        ahead = time.time() - now()
        return [
            {"key": key, **({"expiresAt": int((kept.until + ahead) * 1000)} if kept.until is not None else {})}
            for key, kept in self._kept.items()
        ]


class MemoryLRUCacher(MemoryCacher):
    """Keeps the answers that were used last.

    Args:
        max: how many.
        clone, ttl, max_params_length, keygen: see `MemoryCacher`.
    """

    def __init__(self, max: int = 1000, **given: Any) -> None:
        super().__init__(**given)
        self._most = max

    def _used(self, key: str) -> None:
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
