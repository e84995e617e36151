"""What carries messages between the instances of an application; and the one for a single process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

Deliver = Callable[[bytes, Sequence[str] | None], None]
Counts = Callable[[], dict[str, int]]


class WebSocketConnectionBackend(Protocol):
    """Carries messages to all instances, this one included."""

    async def start(self, deliver: Deliver, counts: Counts) -> None:
        """Begins to give messages to `deliver(data, rooms)`; `counts` tells how many are in each room here."""

    async def broadcast(self, data: bytes) -> None:
        """Sends data to all websockets of all instances."""

    async def send(self, rooms: Sequence[str], data: bytes) -> None:
        """Sends data to those in rooms, at all instances."""

    async def presence(self, room: str) -> int:
        """How many are in a room, at all instances."""

    async def check(self) -> None:
        """Raises when messages of other instances do not come now."""

    async def stop(self) -> None:
        """Gives nothing any more."""


class MemoryWebSocketConnectionBackend:
    """For one process: what is sent is delivered at once."""

    async def start(self, deliver: Deliver, counts: Counts) -> None:
        """Begins."""
        self._deliver, self._counts = deliver, counts

    async def broadcast(self, data: bytes) -> None:
        """Sends data to all websockets of this process."""
        self._deliver(data, None)

    async def send(self, rooms: Sequence[str], data: bytes) -> None:
        """Sends data to those in rooms."""
        self._deliver(data, rooms)

    async def presence(self, room: str) -> int:
        """How many are in a room."""
        return self._counts().get(room, 0)

    async def check(self) -> None:
        """There are none."""

    async def stop(self) -> None:
        """Ends."""
