"""zerorpc over an ipc socket; its way of many callers is greenlets on one client."""

from collections.abc import Callable
from time import perf_counter

import gevent
import zerorpc
from contract import Figures, Service

DISTRIBUTIONS = ("zerorpc", "pyzmq", "gevent")
SHARED = True
CALLERS = 16


def serve(address: str, ready: Callable[[], None]) -> None:
    """Serves for ever."""
    server = zerorpc.Server(Service())
    server.bind(f"ipc://{address}")
    ready()
    server.run()


class Client:
    """One client, for one thread."""

    def __init__(self, address: str) -> None:
        self.client = zerorpc.Client(f"ipc://{address}")
        self.get: Callable[[str], str] = self.client.get
        self.echo: Callable[[bytes], bytes] = self.client.echo

    def close(self) -> None:
        """Lets the connection go."""
        self.client.close()


def greenlets(address: str, seconds: float) -> Figures:
    """Sixteen greenlets instead of sixteen threads."""
    client = Client(address)
    done = 0

    def work() -> None:
        nonlocal done
        while perf_counter() < end:
            client.get("mundo! 0123456789")
            done += 1

    begun = perf_counter()
    end = begun + seconds
    gevent.joinall([gevent.spawn(work) for _ in range(CALLERS)], raise_error=True)
    elapsed = perf_counter() - begun
    client.close()
    return {"samples": done, "rate": done / elapsed}


EXTRA = {"threads": greenlets}
