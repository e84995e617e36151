"""Where the contenders of a group meet: a private server of the tests' kind, in their own placement."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from broker import Broker
from mesh_servers import Nats, Redis

HEARTBEAT = 600
"""Seconds. A contender's loop stands still between its turns, and cannot say that it lives."""


@contextmanager
def rabbitmq(placement: str) -> Iterator[str]:
    """RabbitMQ, by its address."""
    with Broker(placement) as broker:
        yield f"{broker.uri()}?heartbeat={HEARTBEAT}"


@contextmanager
def redis(placement: str) -> Iterator[str]:
    """Redis, by its address."""
    with Redis(placement) as server:
        yield server.url()


@contextmanager
def nats(placement: str) -> Iterator[str]:
    """NATS, by its address."""
    with Nats(placement) as server:
        yield server.url()


PLACES: dict[str, Callable[[str], AbstractContextManager[str]]] = {
    "fabric": rabbitmq,
    "mesh": redis,
    "mesh-nats": nats,
}
"""By the group of a row; the contenders of all others meet at a socket of their own."""
