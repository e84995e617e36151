"""Throttled listeners: of the events that come within some time, the first is heard."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..schema import EventSchema

Handler = Callable[[Any], Awaitable[Any]]


class Throttle:
    """Passes over events that come less than `throttle` milliseconds after the last that was heard."""

    def __init__(self) -> None:
        # By name: however often a listener is wrapped, it is one.
        self._heard: dict[tuple[str, str], float] = {}

    def local_event(self, next: Handler, event: EventSchema) -> Handler:
        """The listener, throttled; itself if it is not to be."""
        pause = (event.throttle or 0) / 1000
        if pause <= 0:
            return next
        name = (event.service.full_name, event.name)

        async def throttled(ctx: Any) -> None:
            now = time.monotonic()
            last = self._heard.get(name)
            if last is None or now - last >= pause:
                self._heard[name] = now
                await next(ctx)

        return throttled
