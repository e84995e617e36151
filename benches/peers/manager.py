"""The standard library's multiprocessing.Manager on a Unix socket; its proxy has a connection per thread."""

from collections.abc import Callable
from multiprocessing.managers import BaseManager
from typing import Any

from contract import Service

DISTRIBUTIONS: tuple[str, ...] = ()
SHARED = True
EXTRA: dict[str, Any] = {}

KEY = b"bench"


class Manager(BaseManager):
    """Knows one type."""


Manager.register("service", Service)


def serve(address: str, ready: Callable[[], None]) -> None:
    """Accepts for ever."""
    server = Manager(address, KEY).get_server()
    ready()
    server.serve_forever()


class Client:
    """One proxy, shared by every thread."""

    def __init__(self, address: str) -> None:
        manager: Any = Manager(address, KEY)
        manager.connect()
        proxy = manager.service()
        self.get: Callable[[str], str] = proxy.get
        self.echo: Callable[[bytes], bytes] = proxy.echo

    def close(self) -> None:
        """The proxy goes with its last reference."""
