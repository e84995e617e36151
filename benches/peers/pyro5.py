"""Pyro5: a threaded daemon on a Unix socket, with its msgpack serializer, the fastest it has."""

from collections.abc import Callable
from typing import Any

import Pyro5.api
from contract import Service

DISTRIBUTIONS = ("Pyro5", "msgpack")
SHARED = False
EXTRA: dict[str, Any] = {}

Pyro5.config.SERIALIZER = "msgpack"


def serve(address: str, ready: Callable[[], None]) -> None:
    """Accepts for ever."""
    with Pyro5.api.Daemon(unixsocket=address) as daemon:
        daemon.register(Pyro5.api.expose(Service), objectId="bench")
        ready()
        daemon.requestLoop()


class Client:
    """One proxy. It must be claimed by the thread that calls, which costs a hundredth of the call."""

    def __init__(self, address: str) -> None:
        self.proxy = Pyro5.api.Proxy(f"PYRO:bench@./u:{address}")
        self.proxy._pyroBind()

    def get(self, word: str) -> Any:
        """Greets."""
        self.proxy._pyroClaimOwnership()
        return self.proxy.get(word)

    def echo(self, data: bytes) -> Any:
        """Gives back what it got."""
        self.proxy._pyroClaimOwnership()
        return self.proxy.echo(data)

    def close(self) -> None:
        """Lets the connection go."""
        self.proxy._pyroClaimOwnership()
        self.proxy._pyroRelease()
