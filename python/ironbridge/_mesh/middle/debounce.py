"""Debounced listeners: of events that come one upon another, the last is heard, once they have ceased."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ..schema import EventSchema
from .tasks import Tasks

Handler = Callable[[Any], Awaitable[Any]]


class Debounce:
    """Lets a listener hear an event when no other has come for `debounce` milliseconds. What waits when the broker
    stops is not heard.

    Args:
        broker: whose listeners they are.
    """

    def __init__(self, broker: Any) -> None:
        self._tasks = Tasks(broker.get_logger("debounce"))
        # By name: however often a listener is wrapped, it is one.
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    async def stopped(self, _broker: Any) -> None:
        """Ends its timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._tasks.end()

    def local_event(self, next: Handler, event: EventSchema) -> Handler:
        """The listener, debounced; itself if it is not to be."""
        pause = (event.debounce or 0) / 1000
        if pause <= 0:
            return next
        name = (event.service.full_name, event.name)

        def hear(ctx: Any) -> None:
            del self._timers[name]
            self._tasks.begin(_heard(next, ctx), f"the handler of {event.name} in {event.service.full_name}")

        async def debounced(ctx: Any) -> None:
            if (waiting := self._timers.get(name)) is not None:
                waiting.cancel()
            self._timers[name] = asyncio.get_running_loop().call_later(pause, hear, ctx)

        return debounced


async def _heard(handler: Handler, ctx: Any) -> None:
    await handler(ctx)
