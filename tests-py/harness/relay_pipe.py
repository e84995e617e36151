"""One direction of one relayed connection: what has arrived, and when it is due to be handed on."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

_FULL = 256 * 1024
"""Bytes held at most; beyond it nothing more is read, so back-pressure passes through the relay."""


class Pipe:
    """Moves bytes from `source` to `sink`, both non-blocking, in order."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.closed = False
        self._held: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._ended = False

    @property
    def wants_read(self) -> bool:
        return not self._ended and self._size < _FULL

    @property
    def due(self) -> float | None:
        """When the next piece, or the end, is to be handed on; None while there is nothing."""
        return self._held[0][0] if self._held else None

    def fill(self, due: float, change: Callable[[bytes], bytes] | None) -> None:
        """Takes what has arrived, to be handed on at `due` and never before what came earlier."""
        while self.wants_read:
            try:
                piece = self.source.recv(65536)
            except BlockingIOError:
                return
            if not piece:
                self.end(due)
                return
            if change is not None:
                piece = change(piece)
            if piece:
                self._hold(due, piece)

    def end(self, due: float) -> None:
        """Nothing more is read; the sink is told after what is held."""
        if not self._ended:
            self._ended = True
            self._hold(due, b"")

    def flush(self, now: float, allowed: int | None) -> int:
        """Hands on what is due, at most `allowed` bytes; how many bytes went."""
        sent = 0
        while self._held and self._held[0][0] <= now:
            due, piece = self._held[0]
            if not piece:
                self._held.clear()
                self.closed = True
                self.sink.shutdown(socket.SHUT_WR)
                break
            part = piece if allowed is None else piece[: allowed - sent]
            if not part:
                break
            try:
                count = self.sink.send(part)
            except BlockingIOError:
                break
            sent += count
            self._size -= count
            if count < len(piece):
                self._held[0] = (due, piece[count:])
            else:
                self._held.popleft()
        return sent

    def _hold(self, due: float, piece: bytes) -> None:
        if self._held:
            due = max(due, self._held[-1][0])
        self._held.append((due, piece))
        self._size += len(piece)
