"""Declaring an application's topology ahead: queues are there before the first worker is."""

from __future__ import annotations

from .bus.amqp import DEAD_LETTERS, DEAD_QUEUE
from .bus.connecting import open_broker
from .bus.handlers import handlers_of
from .core.microservice import Microservice
from .schedule.actions import actions_of


async def declare(app: Microservice, broker_url: str) -> list[str]:
    """Declares exchanges, queues and bindings; gives the names of the queues.

    Raises:
        ConfigurationError: one is there with other properties.
    """
    broker = await open_broker(broker_url)
    queues = [one.queue(1) for one in handlers_of(app.controllers)] + [
        one.queue() for one in actions_of(app.controllers)
    ]
    try:
        for queue in queues:
            await broker.declare(queue)
    finally:
        await broker.close()
    return [queue.name for queue in queues]


def planned(app: Microservice) -> list[str]:
    """What would be declared, a line each."""
    lines = [f"exchange {DEAD_LETTERS} (direct, durable)", f"queue {DEAD_QUEUE} (durable)"]
    lines += [f"queue {one.queue(1).name} (durable), bound by {one.topic}.#" for one in handlers_of(app.controllers)]
    lines += [f"queue {one.name} (durable, one message), bound by its name" for one in actions_of(app.controllers)]
    return lines
