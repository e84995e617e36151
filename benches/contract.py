"""What a contender's module in `peers/` provides, so that one agent can play any of them.

A module has `DISTRIBUTIONS` (what to state versions of), `serve`, `Client`, and, if it can do more than one
call at a time on a loop, `AsyncClient`. `SHARED` says whether threads share one client or have one each:
whichever is the library's own way. A module may add measures of its own in `EXTRA`; an `AsyncClient` in `measures`.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

GREETING = "Olá,"

Figures = dict[str, float]
"""p50, p90, p99 in microseconds, rate in calls a second, samples; or whatever else one measure yields."""


Measure = Callable[[float], Awaitable[Figures]]
"""Takes one measure for that many seconds, on a loop."""


def get(word: str) -> str:
    """The endpoint that everybody serves."""
    return f"{GREETING} {word}"


class Service:
    """The same, for libraries that serve objects."""

    def get(self, word: str) -> str:
        """Greets."""
        return get(word)

    def echo(self, data: bytes) -> bytes:
        """Gives back what it got."""
        return data


class Client(Protocol):
    """A blocking client; threads may share it if the module says SHARED."""

    get: Callable[[str], str]
    echo: Callable[[bytes], bytes]

    def close(self) -> None:
        """Lets the connection go."""


class AsyncClient(Protocol):
    """A client of the running event loop."""

    get: Callable[[str], Awaitable[str]]

    async def close(self) -> None:
        """Lets the connection go."""


class Peer(Protocol):
    """A module in `peers/`."""

    DISTRIBUTIONS: tuple[str, ...]
    SHARED: bool
    EXTRA: Mapping[str, Callable[[str, float], Figures]]

    def serve(self, address: str, ready: Callable[[], None]) -> None:
        """Serves at `address` (a socket path), calling `ready` once it listens; does not return."""

    def Client(self, address: str) -> Client:
        """Connects."""

    async def AsyncClient(self, address: str) -> AsyncClient:
        """Connects on the running loop."""
