"""Bulkheads: of each action or listener, only so many run at a time, and only so many wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..errors import QueueIsFullError
from ..schema import ActionSchema, EventSchema
from .policy import check, of_broker, of_schema

Handler = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class BulkheadPolicy:
    """How many run and wait. The names and defaults are Moleculer's.

    Attributes:
        enabled: whether there is a bound at all.
        concurrency: how many run at a time.
        max_queue_size: how many wait; 0: any number.
    """

    enabled: bool = False
    concurrency: int = 10
    max_queue_size: int = 100


class _Gate:
    """Lets some through; the others wait in a line. `changed` is told how many run and how many wait."""

    def __init__(self, changed: Callable[[int, int], None]) -> None:
        self._changed = changed
        self.running = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, concurrency: int) -> None:
        if self.running < concurrency:
            self.running += 1
            self._tell()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        self._tell()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was let in just when its caller gave up.
                self.leave()
            else:
                self.waiting.remove(turn)
                self._tell()
            raise

    def leave(self) -> None:
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._tell()
                return
        self.running -= 1
        self._tell()

    def _tell(self) -> None:
        self._changed(self.running, len(self.waiting))


class Bulkhead:
    """Bounds the actions and listeners of this node.

    Args:
        broker: whose they are.
        options: the broker's `bulkhead`; an action or event may say otherwise with its own.

    Raises:
        BrokerOptionsError: it is no such policy.
    """

    def __init__(self, broker: Any, options: Any = None) -> None:
        self._broker = broker
        self._policy = of_broker(BulkheadPolicy, options, "bulkhead")
        # By name: however often a handler is wrapped, it is one bulkhead.
        self._gates: dict[tuple[str, str, str], _Gate] = {}

    def service_creating(self, service: Any, _schema: Any) -> None:
        """Refuses a service whose bulkheads are wrong, before it is there."""
        check(self._policy, service, "bulkhead")

    def local_action(self, next: Handler, action: ActionSchema) -> Handler:
        """The action, behind its bulkhead; callers that find the line full get a `QueueIsFullError`."""
        return self._behind(next, action, "action")

    def local_event(self, next: Handler, event: EventSchema) -> Handler:
        """The listener, behind its bulkhead."""
        return self._behind(next, event, "event")

    def _behind(self, next: Handler, schema: ActionSchema | EventSchema, kind: str) -> Handler:
        policy = of_schema(self._policy, schema.bulkhead, schema)
        if not policy.enabled:
            return next
        concurrency, most = max(policy.concurrency, 1), policy.max_queue_size
        gate = self._gates.setdefault(
            (kind, schema.service.full_name, schema.name), _Gate(self._measured(schema, kind))
        )

        async def behind(ctx: Any) -> Any:
            if most and gate.running >= concurrency and len(gate.waiting) >= most:
                raise self._full(schema, kind, len(gate.waiting), most)
            await gate.enter(concurrency)
            try:
                return await next(ctx)
            finally:
                gate.leave()

        return behind

    def _measured(self, schema: ActionSchema | EventSchema, kind: str) -> Callable[[int, int], None]:
        metrics = self._broker.metrics
        if metrics is None:
            return lambda running, waiting: None
        name = f"moleculer.{'request' if kind == 'action' else 'event'}.bulkhead"
        labels = {kind: schema.name, "service": schema.service.full_name}

        def measured(running: int, waiting: int) -> None:
            metrics.set(f"{name}.inflight", running, labels)
            metrics.set(f"{name}.queue.size", waiting, labels)

        return measured

    def _full(self, schema: ActionSchema | EventSchema, kind: str, size: int, limit: int) -> Exception:
        known = {kind: schema.name, "nodeID": self._broker.node_id, "size": size, "limit": limit}
        if kind == "action":
            return QueueIsFullError.from_data(known)
        error = QueueIsFullError(
            f"{size} events wait for the listener of {schema.name} in {schema.service.full_name}: this one is dropped",
            data={**known, "service": schema.service.full_name},
        )
        error.fate = "rejected"
        return error
