"""Consuming: all handlers of an application, at one broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ..core.lifecycle import Running
from .amqp import AmqpBroker
from .broker import Broker
from .handlers import Handling
from .processing import Processor
from .retrying import WORKER_POLICY, RetryPolicy

_PREFETCH = 100


@asynccontextmanager
async def consuming(
    process: Running, broker: Broker, handlers: Sequence[Handling], policy: RetryPolicy = WORKER_POLICY
) -> AsyncIterator[None]:
    """Has handlers get their messages, within; what runs at the end is waited for.

    Raises:
        ConfigurationError: a queue is there with other properties.
    """
    async with AsyncExitStack() as stack:
        ends = []
        # All queues are there before the first message is handled, since handlers publish to each other.
        for handling in handlers:
            await broker.declare(handling.queue(_prefetch(broker, handling)))
        for handling in handlers:
            processor = Processor(process, broker, handling, policy)
            ends.append(await broker.consume(handling.queue(_prefetch(broker, handling)), processor.take))
        stack.push_async_callback(lambda: asyncio.gather(*(end() for end in ends)))
        yield


def _prefetch(broker: Broker, handling: Handling) -> int:
    if not isinstance(broker, AmqpBroker):
        return _PREFETCH
    by_channel = broker.address.by_channel or {}
    return by_channel.get(handling.handler.channel_id or "", broker.address.prefetch)
