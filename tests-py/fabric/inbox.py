"""What the tests of streams share: a connector in few words, and a callback that keeps what it is given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ironbridge.fabric import AmqBrokerConnector, IncomingMessage

T = TypeVar("T")

PATIENCE = 20.0


def connector(
    uri: str, service_id: str = "one", *, domain: str = "shop", kind: str = "till", **options: Any
) -> AmqBrokerConnector:
    """A service of a domain; what it says in `on_error` fails the test unless the test takes it."""
    options.setdefault("on_error", Troubles())
    return AmqBrokerConnector(uri, domain, kind, service_id, **options)


class Inbox(Generic[T]):
    """A callback for any thread: keeps what it is given, and can be waited for."""

    def __init__(self, of: Callable[[Any], T]) -> None:
        self.items: list[T] = []
        self._of = of
        self._news = threading.Condition()

    def __call__(self, given: Any) -> None:
        with self._news:
            self.items.append(self._of(given))
            self._news.notify_all()

    async def take(self, given: Any) -> None:
        """The same, as an `async` callback."""
        self(given)

    def wait(self, count: int = 1, within: float = PATIENCE) -> list[T]:
        """All that came, once there are so many."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.items) >= count, within):
                raise TimeoutError(f"{len(self.items)} of {count} within {within} s: {self.items[-10:]}")
            return list(self.items)

    async def came(self, count: int = 1, within: float = PATIENCE) -> list[T]:
        """`wait`, on an event loop."""
        return await asyncio.to_thread(self.wait, count, within)


def bodies() -> Inbox[bytes]:
    """Keeps the bodies of messages."""
    return Inbox(lambda message: message.body)


def messages() -> Inbox[IncomingMessage]:
    """Keeps messages."""
    return Inbox(lambda message: message)


class Troubles(Inbox[tuple[BaseException, str]]):
    """An `on_error`: keeps what went wrong, and where."""

    def __init__(self) -> None:
        super().__init__(lambda told: told)

    def __call__(self, error: BaseException, place: str = "") -> None:
        super().__call__((error, place))
