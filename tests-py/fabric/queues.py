"""What the broker says of a subscriber's queue, waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from harness import RabbitMQ, wait_until

READER = "shop.data.reader"


def _look(rabbitmq: RabbitMQ, uri: str, queue: str) -> dict[str, Any]:
    return rabbitmq.queues(uri.rpartition("/")[2]).get(queue, {})


async def settled(rabbitmq: RabbitMQ, uri: str, queue: str = READER) -> int:
    """How many messages are left, once none is open."""
    await open_ones(rabbitmq, uri, 0, queue)
    return int(_look(rabbitmq, uri, queue)["messages_ready"])


async def open_ones(rabbitmq: RabbitMQ, uri: str, count: int, queue: str = READER) -> None:
    """Waits until so many messages are open."""

    def found() -> bool:
        return bool(_look(rabbitmq, uri, queue).get("messages_unacknowledged") == count)

    await asyncio.to_thread(wait_until, found, 20, f"{count} open messages in {queue}")


async def waiting(rabbitmq: RabbitMQ, uri: str, queue: str, count: int) -> None:
    """Waits until so many messages are in a queue, open or not."""

    def found() -> bool:
        return bool(_look(rabbitmq, uri, queue).get("messages") == count)

    await asyncio.to_thread(wait_until, found, 20, f"{count} messages in {queue}")
