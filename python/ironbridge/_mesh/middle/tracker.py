"""Tracking: a service, or the broker, stops only when its calls have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..errors import GracefulStopTimeoutError
from ..schema import ActionSchema, EventSchema
from .policy import of_broker

Handler = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """Whether and how long to wait. The names and defaults are Moleculer's.

    Attributes:
        enabled: whether calls and events are tracked; a call may say otherwise with its option `tracking`.
        shutdown_timeout: how long to wait for them at most, in milliseconds; a service's setting `$shutdownTimeout`
            comes before it.
    """

    enabled: bool = False
    shutdown_timeout: float = 5000


class _Running:
    """How many contexts there are, and whether there are none."""

    def __init__(self) -> None:
        self.count = 0
        self._none = asyncio.Event()

    def enter(self) -> None:
        self.count += 1
        self._none.clear()

    def leave(self) -> None:
        self.count -= 1
        if not self.count:
            self._none.set()

    async def end(self, patience: float) -> bool:
        """Whether they have ended within so many milliseconds."""
        try:
            async with asyncio.timeout(patience / 1000):
                await self._none.wait()
        except TimeoutError:
            return False
        return True


class ContextTracker:
    """Waits for what runs: for a service's actions and listeners when it stops, and for calls to other nodes when the
    broker does. What takes too long is logged as a `GracefulStopTimeoutError`, and left to itself.

    Args:
        broker: whose calls they are.
        options: the broker's `tracking`.

    Raises:
        BrokerOptionsError: it is no such policy.
    """

    def __init__(self, broker: Any, options: Any = None) -> None:
        self._broker = broker
        self._policy = of_broker(TrackingPolicy, options, "tracking")
        self._running: dict[str | None, _Running] = {}
        if self._policy.enabled:
            self.local_action = self.local_event = self.remote_action = self._tracked

    def _tracked(self, next: Handler, schema: ActionSchema | EventSchema) -> Handler:
        whose = schema.service.full_name if schema.service is not None else None

        async def tracked(ctx: Any) -> Any:
            if ctx.options.get("tracking") is False:
                return await next(ctx)
            running = self._running.setdefault(whose, _Running())
            running.enter()
            try:
                return await next(ctx)
            finally:
                running.leave()

        return tracked

    async def service_stopping(self, service: Any) -> None:
        """Waits for the service's actions and listeners."""
        patience = service.settings.get("$shutdownTimeout") or self._policy.shutdown_timeout
        data = {"name": service.name, "version": service.version}
        await self._wait(service.full_name, f"the service {service.full_name}", patience, service.logger, data)

    async def stopping(self, broker: Any) -> None:
        """Waits for calls to other nodes."""
        await self._wait(None, f"the broker {broker.node_id}", self._policy.shutdown_timeout, broker.logger, None)

    async def _wait(self, whose: str | None, who: str, patience: float, logger: Any, data: Any) -> None:
        running = self._running.get(whose)
        if running is None or not running.count:
            return
        logger.warning("%s stops when %d calls or events have ended", who, running.count)
        if not await running.end(patience):
            text = f"{who} stops, though {running.count} calls or events still run after {patience:g} ms"
            logger.error("%s", text, exc_info=GracefulStopTimeoutError(text, data=data))
