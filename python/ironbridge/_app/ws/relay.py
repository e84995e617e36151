"""What carries messages between instances through a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Channels:
    """The channels of messages to all, and of those to rooms."""

    broadcasts: str
    sends: str


class Relay(Protocol):
    """Publishes to the channels, and gives what comes on them; whatever is lost is connected again.

    Attributes:
        subscribed: set while messages of other instances come.
        begun: set when they first come, or never will as things are.
        trouble: why they do not, when that is known.
    """

    subscribed: asyncio.Event
    begun: asyncio.Event
    trouble: Exception | None

    def start(self) -> None:
        """Begins to connect."""

    async def broadcast(self, data: bytes) -> None:
        """Publishes to all; returns when Redis has taken it.

        Raises:
            ServiceUnavailable: Redis cannot be reached, or refuses it.
        """

    async def send(self, rooms: Sequence[str], data: bytes) -> None:
        """Publishes to those in rooms; returns when Redis has taken it.

        Raises:
            ServiceUnavailable: Redis cannot be reached, or refuses it.
        """

    async def check(self) -> None:
        """Raises when Redis does not answer."""

    async def stop(self) -> None:
        """Ends its connections."""
