"""RPyC: a threaded server on a Unix socket; a connection for each thread; the method is bound once."""

import logging
from collections.abc import Callable
from typing import Any

import rpyc
from contract import Service as Endpoints
from rpyc.utils.factory import unix_connect
from rpyc.utils.server import ThreadedServer

DISTRIBUTIONS = ("rpyc",)
SHARED = False
EXTRA: dict[str, Any] = {}


class Service(rpyc.Service):  # type: ignore[misc]
    """The endpoints, under the prefix that RPyC exposes."""

    def on_connect(self, conn: object) -> None:
        """One set of endpoints for each connection."""
        endpoints = Endpoints()
        self.exposed_get, self.exposed_echo = endpoints.get, endpoints.echo


def serve(address: str, ready: Callable[[], None]) -> None:
    """Accepts for ever."""
    quiet = logging.getLogger("rpyc")
    quiet.setLevel(logging.ERROR)
    server = ThreadedServer(Service, socket_path=address, logger=quiet)
    server._listen()
    ready()
    server.start()


class Client:
    """One connection, for one thread."""

    def __init__(self, address: str) -> None:
        self.connection = unix_connect(address)
        self.get: Callable[[str], str] = self.connection.root.get
        self.echo: Callable[[bytes], bytes] = self.connection.root.echo

    def close(self) -> None:
        """Lets the connection go."""
        self.connection.close()
