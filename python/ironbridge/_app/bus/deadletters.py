"""Dead letters: looked at, counted, sent to their queues again, or dropped; never lost by any of that but the last."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .amqp import AmqpAddress, AmqpBroker
from .broker import Outgoing
from .processing import LAST_ERROR, RETRIES

_QUIET = 2.0
"""Seconds without a message after which the rest is not waited for."""


@dataclass(frozen=True)
class DeadLetter:
    """One.

    Attributes:
        queue: where it came from; `None` when it does not say.
        reason: why it died: `rejected`, `expired`, `maxlen`.
        error: what its handler raised last, if that is known.
        count: how often it died.
        message_id, headers, body: its own.
    """

    queue: str | None
    reason: str | None
    error: str | None
    count: int
    message_id: str | None
    headers: Mapping[str, Any]
    body: bytes


class DeadLetters:
    """Those of a RabbitMQ. Use it as an asynchronous context manager.

    Args:
        url: the bus's.
    """

    def __init__(self, url: str) -> None:
        self._broker = AmqpBroker(AmqpAddress.parse(url))

    async def __aenter__(self) -> DeadLetters:
        await self._broker.open()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._broker.close()

    async def stats(self) -> dict[str, Any]:
        """How many there are, by the queues that they came from."""
        letters = await self.list()
        return {"total": len(letters), "queues": dict(Counter(one.queue or "unknown" for one in letters))}

    async def list(self, limit: int | None = None, queue: str | None = None) -> list[DeadLetter]:
        """The oldest. They stay where they are.

        Args:
            limit: so many at most.
            queue: those that came from this queue alone.
        """
        found: list[DeadLetter] = []

        async def look(message: Any, letter: DeadLetter) -> None:
            if (queue is None or letter.queue == queue) and (limit is None or len(found) < limit):
                found.append(letter)

        await self._each(look)
        return found

    async def purge(self) -> int:
        """Drops all; how many there were."""
        return await self._broker.purge_dead()

    async def requeue(self, limit: int | None = None, queue: str | None = None) -> int:
        """Sends them to the queues that they came from, as new: each is dropped here only when the broker has it there.

        Args:
            limit: so many at most.
            queue: those that came from this queue alone.

        Returns:
            how many were sent.

        Raises:
            ServiceUnavailable: a queue is not there any more; its letters stay.
        """
        done = 0

        async def send(message: Any, letter: DeadLetter) -> None:
            nonlocal done
            if letter.queue is None or (queue is not None and letter.queue != queue):
                return
            if limit is not None and done >= limit:
                return
            headers = {
                name: value
                for name, value in letter.headers.items()
                if name not in (RETRIES, LAST_ERROR)
                and not name.startswith(("x-death", "x-first-death", "x-last-death"))
            }
            await self._broker.publish(
                Outgoing(letter.queue, letter.body, True, headers, letter.message_id, target=letter.queue)
            )
            message.ack()
            done += 1

        await self._each(send)
        return done

    async def _each(self, use: Callable[[Any, DeadLetter], Awaitable[None]]) -> None:
        """Gives each letter that is there now to `use`; one that it does not settle goes back to its place."""
        count = await self._broker.count_dead()
        if not count:
            return
        taken: asyncio.Queue[Any] = asyncio.Queue()
        held: list[Any] = []
        is_ending = False

        async def take(message: Any) -> None:
            # One that died since, and comes while the consumer still ends, is nobody's here.
            if is_ending:
                message.nack()
            else:
                taken.put_nowait(message)

        end = await self._broker.take_dead(take)
        try:
            for _ in range(count):
                try:
                    async with asyncio.timeout(_QUIET):
                        message = await taken.get()
                except TimeoutError:
                    break
                held.append(message)
                await use(message, _letter(message))
        finally:
            is_ending = True
            ending = asyncio.ensure_future(end())
            while not taken.empty():
                held.append(taken.get_nowait())
            for message in held:
                if not message.processed:
                    message.nack()
            await ending


def _letter(message: Any) -> DeadLetter:
    headers = dict(message.headers)
    deaths = headers.get("x-death")
    first = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping) else {}
    queue = first.get("queue")
    return DeadLetter(
        queue=str(queue) if queue is not None else None,
        reason=first.get("reason"),
        error=headers.get(LAST_ERROR),
        count=int(first.get("count") or 1),
        message_id=message.message_id,
        headers=headers,
        body=bytes(message.body),
    )
