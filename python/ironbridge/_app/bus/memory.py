"""The bus in process: the same semantics as RabbitMQ's, for development, tests, and applications of one process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...errors import Overloaded, ServiceUnavailable
from .broker import Later, Outgoing, Queue, Take

MOST_WAITING = 100_000
"""Messages that wait in one queue, before publishing to it fails."""
MOST_DEAD = 10_000
"""Dead letters that are kept; the oldest give way."""


@dataclass(slots=True)
class MemoryMessage:
    """A message as it comes."""

    queue: _Held
    body: bytes
    headers: Mapping[str, Any]
    message_id: str | None
    redelivered: bool = False
    settled: bool = False

    def ack(self) -> None:
        """It is dealt with."""
        self._settle()

    def nack(self) -> None:
        """It comes again at once."""
        if self._settle():
            again = MemoryMessage(self.queue, self.body, self.headers, self.message_id, redelivered=True)
            self.queue.waiting.appendleft(again)
            self.queue.wake()

    def reject(self) -> None:
        """It goes to the dead letters."""
        if self._settle():
            self.queue.broker.dead.append(self)

    def _settle(self) -> bool:
        if self.settled:
            return False
        self.settled = True
        self.queue.open -= 1
        self.queue.wake()
        return True


@dataclass(slots=True)
class _Held:
    """A queue that is there."""

    broker: MemoryBroker
    spec: Queue
    waiting: deque[MemoryMessage] = field(default_factory=deque)
    open: int = 0
    takes: list[Take] = field(default_factory=list)
    turn: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def put(self, message: Outgoing) -> None:
        if self.spec.is_tick:
            self.waiting.clear()
        elif len(self.waiting) >= MOST_WAITING:
            raise Overloaded(
                f"{MOST_WAITING:,} messages wait in {self.spec.name} already: nobody takes them fast enough"
            )
        self.waiting.append(MemoryMessage(self, message.body, message.headers, message.message_id or uuid.uuid4().hex))
        self.wake()

    def wake(self) -> None:
        """Hands out what may be handed out."""
        while self.waiting and self.takes and (not self.spec.prefetch or self.open < self.spec.prefetch):
            self.turn += 1
            take = self.takes[self.turn % len(self.takes)]
            self.open += 1
            task = asyncio.ensure_future(self._given(take, self.waiting.popleft()))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _given(self, take: Take, message: MemoryMessage) -> None:
        try:
            await take(message)
        finally:
            # Whoever was cut off has not dealt with it.
            message.nack()


class MemoryBroker:
    """Queues in this process. Those who name the same one share it."""

    _named: ClassVar[dict[str, MemoryBroker]] = {}

    def __init__(self) -> None:
        self.dead: deque[MemoryMessage] = deque(maxlen=MOST_DEAD)
        self._queues: dict[str, _Held] = {}
        self._later: dict[str, tuple[asyncio.TimerHandle, Outgoing, float]] = {}

    @classmethod
    def named(cls, name: str) -> MemoryBroker:
        """The one of this name in the process."""
        return cls._named.setdefault(name, cls())

    async def publish(self, message: Outgoing) -> None:
        """Puts it into each queue that its topic leads to.

        Raises:
            ServiceUnavailable: of a task: there is none.
            Overloaded: one of them is full.
        """
        if message.target is not None:
            reached = [self._queues[message.target]] if message.target in self._queues else []
        else:
            reached = [one for one in self._queues.values() if _leads(message.topic, one.spec.topic)]
        if not reached and message.is_task:
            raise ServiceUnavailable(f"nobody takes the topic {message.topic!r}: no handler of it runs in this process")
        for queue in reached:
            queue.put(message)

    async def publish_later(self, message: Outgoing, later: Later) -> None:
        """Puts it into its queues at a time."""
        key = later.idempotency_key or uuid.uuid4().hex
        at = later.at
        if (waiting := self._later.pop(key, None)) is not None:
            timer, first, before = waiting
            timer.cancel()
            if later.payload_policy == "ignore":
                message = first
            if later.time_policy == "greater":
                at = max(at, before)
            elif later.time_policy == "lesser":
                at = min(at, before)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(max(0.0, at - time.time()), self._due, key)
        self._later[key] = (timer, message, at)

    def _due(self, key: str) -> None:
        _, message, _ = self._later.pop(key)
        queue = self._queues.get(message.target or "")
        reached = [queue] if queue else [one for one in self._queues.values() if _leads(message.topic, one.spec.topic)]
        for one in reached:
            one.put(message)

    async def declare(self, queue: Queue) -> None:
        """Has a queue there."""
        self._queues.setdefault(queue.name, _Held(self, queue))

    async def consume(self, queue: Queue, take: Take) -> Callable[[], Awaitable[None]]:
        """Gives a queue's messages to `take`; gives what ends it, once those that run have ended."""
        await self.declare(queue)
        held = self._queues[queue.name]
        held.takes.append(take)
        held.wake()

        async def end() -> None:
            if take in held.takes:
                held.takes.remove(take)
            if held.tasks:
                await asyncio.wait(list(held.tasks))

        return end

    async def check(self) -> None:
        """It is there while the process is."""

    async def close(self) -> None:
        """Ends what waits for its time; what is in queues stays."""
        for timer, *_ in self._later.values():
            timer.cancel()
        self._later.clear()


def _leads(topic: str, bound: str) -> bool:
    """Whether a topic, or one below it, is what a queue is bound to."""
    return topic == bound or topic.startswith(f"{bound}.")
