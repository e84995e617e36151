"""Delivering to a crowd: some clients at a time, so that the loop serves others in between. What comes meanwhile for the
same client leaves with it, in one write: the more there is to send, the less each message costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .clients import Client

CROWD = 64
"""Clients that are served in one go: about a millisecond of writing to sockets."""
_MOST_TOGETHER = 64
_MOST_BYTES = 64 << 10
"""Messages, and bytes of them, that wait for the turn of one client; more have all written at once: whoever sends so many
does not let the loop run."""


class Framed(NamedTuple):
    """A message, and the frame that is the same for all."""

    data: bytes
    frame: bytes


class Sweep:
    """Goes round the clients that something waits for.

    Args:
        lose: takes a client that is too slow.
    """

    def __init__(self, lose: Callable[[Client], None]) -> None:
        self._lose = lose
        self._due: dict[Client, list[Framed]] = {}
        self._is_going = False

    def add(self, clients: Iterable[Client], message: Framed) -> None:
        """Has a message go to clients, behind what waits for them."""
        # The one whose turn comes next has waited longest.
        longest = next(iter(self._due.values()), [])
        if len(longest) >= _MOST_TOGETHER or sum(len(one.data) for one in longest) > _MOST_BYTES:
            self._serve(len(self._due))
        for client in clients:
            self._due.setdefault(client, []).append(message)
        if not self._is_going:
            self._is_going = True
            asyncio.get_running_loop().call_soon(self._go)

    def settle(self, client: Client) -> None:
        """What waits for one client goes now."""
        messages = self._due.pop(client, None)
        if messages and not client.offer(messages, b"".join(one.frame for one in messages)):
            self._lose(client)

    def _go(self) -> None:
        self._serve(CROWD)
        if self._due:
            asyncio.get_running_loop().call_soon(self._go)
        else:
            self._is_going = False

    def _serve(self, count: int) -> None:
        last: list[Framed] = []
        frames = b""
        for client in list(islice(self._due, count)):
            messages = self._due.pop(client, None)
            if messages is None:  # it was lost meanwhile
                continue
            if messages != last:
                last, frames = messages, b"".join([one.frame for one in messages])
            if not client.offer(messages, frames):
                self._lose(client)
