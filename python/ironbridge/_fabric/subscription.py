"""A subscription, as `subscribe_data` gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any

from .. import _engine


class Subscription:
    """What is subscribed to. It has begun; awaiting it tells when messages come, or why they never will.

    Attributes:
        name: the subscriber's name.
    """

    def __init__(self, name: str, native: _engine.FabricSubscription, begun: Any) -> None:
        self.name = name
        self._native = native
        self._begun: asyncio.Future[None] | None = begun if isinstance(begun, asyncio.Future) else None

    def __await__(self) -> Generator[Any, None, Subscription]:
        if self._begun is not None:
            yield from self._begun.__await__()
        return self

    def cancel(self) -> Awaitable[None]:
        """Takes no message any more; those that are open can still be acknowledged."""
        stopped = self._native.stop()
        return stopped if isinstance(stopped, asyncio.Future) else _engine.Ready(None)

    def stats(self) -> dict[str, int]:
        """How many messages were received, acknowledged, rejected and passed over, and how many are open."""
        names = ("received", "acknowledged", "rejected", "filtered", "open")
        return dict(zip(names, self._native.stats(), strict=True))

    def __repr__(self) -> str:
        return f"<Subscription {self.name!r} {self.stats()}>"
