"""A service and its caller of different make, at one broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness import RabbitMQ

from fabric.actors import ORIGINAL, OURS, PATTERN, Library, Service

PAIRS: list[tuple[Library, Library]] = [(OURS, ORIGINAL), (OURS, PATTERN), (ORIGINAL, OURS), (PATTERN, OURS)]


@dataclass
class Pair:
    """A server, and who calls it."""

    server: Service
    caller: Service
    uri: str

    def call(self, method: str, /, **given: Any) -> Any:
        return self.caller.call(self.server, method, **given)


@contextmanager
def place(broker: RabbitMQ) -> Iterator[str]:
    """The URI of a virtual host that is there for so long."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    broker.add_vhost(name)
    yield broker.uri(vhost=name)
    broker.delete_vhost(name)


@contextmanager
def meeting(server: Library, caller: Library, uri: str, **settings: Any) -> Iterator[Pair]:
    """A server and its caller; both are up."""
    with (
        Service(server, uri, "server", serve=True, **settings) as one,
        Service(caller, uri, "caller", **settings) as other,
    ):
        one.wait("up")
        other.wait("up")
        yield Pair(one, other, uri)


def name_of(pair: object) -> str:
    """`ours-aio_pika`: the server's make, then the caller's."""
    assert isinstance(pair, tuple)
    return "-".join("ours" if one == OURS else one for one in pair)
