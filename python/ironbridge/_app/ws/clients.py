"""Those who are connected to this process: their rooms, and what waits to be sent to each."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from .direct import connection_of, frame_of
from .sweeping import CROWD, Framed, Sweep

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

log = logging.getLogger("ironbridge.app.websockets")

MOST_WAITING = 1_000
"""Messages that wait for one client; one that is behind further is let go."""
MOST_BYTES = 16 << 20
"""Bytes that wait for one client."""
TOO_SLOW = 1013
"""The code that a client is let go with: it may come back later (RFC 6455's registry, "Try Again Later")."""
_FAREWELL = 5.0


class Client:
    """One websocket, and what waits to be sent to it. A slow one holds up nobody else."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.rooms: set[str] = set()
        self._connection = connection_of(websocket)
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self.is_gone = False

    def offer(self, messages: Sequence[Framed], frames: bytes) -> bool:
        """Sends messages behind all that waits; whether the client is quick enough for them.

        Args:
            messages: what is sent.
            frames: their frames, one after the other.
        """
        if self.is_gone:
            return True
        # While a writer runs, what it sends comes first.
        if self._writer is None and self._connection is not None and self._connection.write(frames):
            return True
        for data, _ in messages:
            if len(self._waiting) >= MOST_WAITING or self._bytes + len(data) > MOST_BYTES:
                return False
            self._waiting.append(data)
            self._bytes += len(data)
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write())
        return True

    async def _write(self) -> None:
        send = self.websocket.send_bytes
        try:
            while self._waiting:
                data = self._waiting.popleft()
                await send(data)
                self._bytes -= len(data)
        except Exception as error:  # whatever the server raises of a client that has gone
            self.is_gone = True
            self._waiting.clear()
            log.debug("a client has gone while it was sent something: %s", error)
        finally:
            self._writer = None

    async def let_go(self) -> None:
        """Ends the connection of one that is too slow."""
        self.is_gone = True
        if self._writer is not None:
            self._writer.cancel()
        self._waiting.clear()
        try:
            async with asyncio.timeout(_FAREWELL):
                await self.websocket.close(TOO_SLOW, "too slow: messages were waiting")
        except Exception as error:  # it reads nothing, the farewell neither
            log.debug("a slow client did not take its leave: %s", error)

    def end(self) -> None:
        """Sends nothing more."""
        self.is_gone = True
        if self._writer is not None:
            self._writer.cancel()
        self._waiting.clear()


class Clients:
    """All websockets of this process, by the rooms that they are in."""

    def __init__(self) -> None:
        self._all: dict[WebSocket, Client] = {}
        self._rooms: dict[str, dict[Client, None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._sweep = Sweep(self._let_go)

    def add(self, websocket: WebSocket) -> Client:
        """One that is connected, from now on."""
        client = self._all.get(websocket)
        if client is None:
            client = self._all[websocket] = Client(websocket)
        return client

    def join(self, rooms: Iterable[str], websocket: WebSocket) -> None:
        """Has one be in rooms, too."""
        client = self.add(websocket)
        for room in rooms:
            client.rooms.add(room)
            self._rooms.setdefault(room, {})[client] = None

    def leave(self, rooms: Iterable[str], websocket: WebSocket) -> None:
        """Has one be in rooms no more."""
        client = self._all.get(websocket)
        if client is not None:
            for room in rooms:
                self._left(room, client)

    def remove(self, websocket: WebSocket) -> None:
        """One that is not connected any more."""
        client = self._all.pop(websocket, None)
        if client is not None:
            self._sweep.settle(client)
            for room in list(client.rooms):
                self._left(room, client)
            client.end()

    def _left(self, room: str, client: Client) -> None:
        client.rooms.discard(room)
        members = self._rooms.get(room)
        if members is not None:
            members.pop(client, None)
            if not members:
                del self._rooms[room]

    def counts(self) -> dict[str, int]:
        """How many are in each room."""
        return {room: len(members) for room, members in self._rooms.items()}

    def __len__(self) -> int:
        return len(self._all)

    def deliver(self, data: bytes, rooms: Iterable[str] | None = None) -> None:
        """Sends data to all, or to those in rooms, each once."""
        if rooms is None:
            reached: Collection[Client] = list(self._all.values())
        else:
            found: dict[Client, None] = {}
            for room in rooms:
                found.update(self._rooms.get(room, {}))
            reached = found
        message = Framed(data, frame_of(data))
        if len(reached) > CROWD:
            self._sweep.add(reached, message)
            return
        for client in reached:
            self._sweep.settle(client)
            if not client.offer((message,), message.frame):
                self._let_go(client)

    def _let_go(self, client: Client) -> None:
        log.warning("a client that is %d messages behind is let go with %d", MOST_WAITING, TOO_SLOW)
        self.remove(client.websocket)
        task = asyncio.ensure_future(client.let_go())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Sends nothing more to anybody."""
        for websocket in list(self._all):
            self.remove(websocket)
        if self._leaving:
            await asyncio.wait(list(self._leaving), timeout=_FAREWELL)
