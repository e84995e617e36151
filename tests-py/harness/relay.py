"""A relay between a client and a server that misbehaves on demand, and never reorders.

One thread carries all connections. Commands run on that thread between two looks at the sockets, and return
when they have taken effect, so a test that says `relay.cut()` knows that the connections are gone.
"""

from __future__ import annotations

import selectors
import socket
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from harness.net import Address
from harness.relay_pipe import Pipe

T = TypeVar("T")
Direction = Literal["up", "down"]
UP: Direction = "up"
"""From the client to the server."""
DOWN: Direction = "down"
"""From the server to the client."""


class Link:
    """One client's connection and the relay's own to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.pipes: dict[Direction, Pipe] = {UP: Pipe(client, server), DOWN: Pipe(server, client)}

    @property
    def finished(self) -> bool:
        return all(pipe.closed for pipe in self.pipes.values())

    def close(self, *, reset: bool) -> None:
        for stream in (self.client, self.server):
            if reset and stream.family == socket.AF_INET:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()


class Relay:
    """Listens on a TCP port or a Unix path of its own and passes bytes to and from `target`.

    `target` is `(host, port)` or the path of a Unix socket; the relay listens on the same kind, at `address`.
    """

    def __init__(self, target: Address) -> None:
        self.target = target
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._listener = self._listen()
        self._wake_out, self._wake_in = socket.socketpair()
        self._commands: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._links: list[Link] = []
        self._accepted = 0
        self._refusing = False
        self._delay: dict[Direction, float] = {UP: 0.0, DOWN: 0.0}
        self._reading: dict[Direction, bool] = {UP: True, DOWN: True}
        self._change: dict[Direction, Callable[[bytes], bytes] | None] = {UP: None, DOWN: None}
        self._allowance: dict[Direction, int | None] = {UP: None, DOWN: None}
        self._passed: dict[Direction, int] = {UP: 0, DOWN: 0}
        self._news = threading.Condition()
        self._running = True
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    # What a test says.

    @property
    def address(self) -> Address:
        """Where clients connect instead of `target`."""
        name: Address = self._listener.getsockname()
        return name

    @property
    def connections(self) -> int:
        """How many connections the relay carries now."""
        return self._do(lambda: len(self._links))

    @property
    def accepted(self) -> int:
        """How many connections it has carried since it began."""
        return self._do(lambda: self._accepted)

    def passed(self, direction: Direction) -> int:
        """How many bytes it has handed on in one direction."""
        return self._do(lambda: self._passed[direction])

    def wait_passed(self, direction: Direction, count: int, deadline: float = 10.0) -> None:
        """Waits until `count` bytes have been handed on in one direction."""
        with self._news:
            done = self._news.wait_for(lambda: self._passed[direction] >= count, deadline)
        assert done, f"only {self._passed[direction]} of {count} bytes went {direction} within {deadline} s"

    def wait_accepted(self, count: int, deadline: float = 10.0) -> None:
        """Waits until `count` connections have been made in all."""
        with self._news:
            done = self._news.wait_for(lambda: self._accepted >= count, deadline)
        assert done, f"only {self._accepted} of {count} connections within {deadline} s"

    def wait_ended(self, deadline: float = 10.0) -> None:
        """Waits until no connection is left."""
        with self._news:
            assert self._news.wait_for(lambda: not self._links, deadline), f"{len(self._links)} connections are left"

    def delay(self, seconds: float, direction: Direction | None = None) -> None:
        """Whatever arrives from now on is handed on `seconds` later."""
        self._set(self._delay, seconds, direction)

    def stop_reading(self, direction: Direction | None = None) -> None:
        """Reads nothing more from that side: its sender fills the buffers between, then blocks."""
        self._set(self._reading, False, direction)

    def read_again(self, direction: Direction | None = None) -> None:
        self._set(self._reading, True, direction)

    def change(self, direction: Direction, how: Callable[[bytes], bytes] | None) -> None:
        """Passes every piece that arrives through `how`, until it is set to None."""
        self._set(self._change, how, direction)

    def corrupt(self, direction: Direction, at: int = 0) -> None:
        """Turns over all bits of one byte: the one `at` bytes after those that have passed by now."""
        left = at

        def flip(piece: bytes) -> bytes:
            nonlocal left
            here, left = left, left - len(piece)
            if not 0 <= here < len(piece):
                return piece
            return piece[:here] + bytes([piece[here] ^ 0xFF]) + piece[here + 1 :]

        self.change(direction, flip)

    def cut_after(self, direction: Direction, count: int) -> None:
        """Lets exactly `count` more bytes through in that direction, then cuts every connection."""
        self._set(self._allowance, count, direction)

    def cut(self, *, reset: bool = True) -> None:
        """Ends every connection at once, bytes under way included; with a reset on TCP unless told otherwise."""
        self._do(lambda: self._drop(list(self._links), reset=reset))

    def half_close(self, direction: Direction) -> None:
        """Closes that direction only, after what has arrived by now; the other goes on."""

        def close() -> None:
            for link in self._links:
                link.pipes[direction].end(time.monotonic())

        self._do(close)

    def refuse(self) -> None:
        """New connections are closed as soon as they are made."""
        self._do(lambda: setattr(self, "_refusing", True))

    def welcome(self) -> None:
        """New connections are carried again."""
        self._do(lambda: setattr(self, "_refusing", False))

    def close(self) -> None:
        if self._running:
            self._do(lambda: setattr(self, "_running", False))
            self._thread.join()
            self._wake_out.close()
            self._wake_in.close()
            if self._folder is not None:
                self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the thread does.

    def _listen(self) -> socket.socket:
        if isinstance(self.target, str):
            self._folder = tempfile.TemporaryDirectory(prefix="relay-")
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(Path(self._folder.name) / "relay.sock"))
        else:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.setblocking(False)
        return listener

    def _set(self, state: dict[Direction, T], value: T, direction: Direction | None) -> None:
        directions: tuple[Direction, ...] = (direction,) if direction else (UP, DOWN)
        self._do(lambda: state.update(dict.fromkeys(directions, value)))

    def _do(self, command: Callable[[], T]) -> T:
        done: Future[T] = Future()
        self._commands.append((command, done))  # type: ignore[arg-type]
        self._wake_out.send(b"\0")
        return done.result(10.0)

    def _run(self) -> None:
        while self._running:
            self._wait()
            while self._commands:
                command, done = self._commands.popleft()
                try:
                    done.set_result(command())
                except Exception as error:
                    done.set_exception(error)
            self._accept()
            for link in list(self._links):
                # A limit that another one has reached may have ended it.
                if link in self._links:
                    self._carry(link)
            with self._news:
                self._news.notify_all()
        self._drop(list(self._links), reset=False)
        self._listener.close()

    def _wait(self) -> None:
        now = time.monotonic()
        timeout: float | None = None
        with selectors.DefaultSelector() as selector:
            interests: dict[socket.socket, int] = {
                self._wake_in: selectors.EVENT_READ,
                self._listener: selectors.EVENT_READ,
            }
            for link in self._links:
                for direction, pipe in link.pipes.items():
                    if self._reading[direction] and pipe.wants_read:
                        interests[pipe.source] = interests.get(pipe.source, 0) | selectors.EVENT_READ
                    due = pipe.due
                    if due is not None and due <= now:
                        interests[pipe.sink] = interests.get(pipe.sink, 0) | selectors.EVENT_WRITE
                    elif due is not None:
                        timeout = min(timeout if timeout is not None else due - now, due - now)
            for stream, events in interests.items():
                selector.register(stream, events)
            ready = selector.select(timeout)
        if any(key.fileobj is self._wake_in for key, _ in ready):
            self._wake_in.recv(4096)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        server = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
        try:
            if self._refusing:
                raise ConnectionRefusedError
            server.connect(self.target)
        except OSError:
            client.close()
            server.close()
            return
        for stream in (client, server):
            stream.setblocking(False)
            if stream.family == socket.AF_INET:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._links.append(Link(client, server))
        self._accepted += 1

    def _carry(self, link: Link) -> None:
        now = time.monotonic()
        try:
            for direction, pipe in link.pipes.items():
                if self._reading[direction]:
                    pipe.fill(now + self._delay[direction], self._change[direction])
                allowed = self._allowance[direction]
                sent = pipe.flush(now, allowed)
                self._passed[direction] += sent
                if allowed is not None:
                    self._allowance[direction] = allowed - sent
                    if allowed == sent:
                        self._allowance[direction] = None
                        self._drop(list(self._links), reset=False)
                        return
        except OSError:
            self._drop([link], reset=True)
            return
        if link.finished:
            self._drop([link], reset=False)

    def _drop(self, links: list[Link], *, reset: bool) -> None:
        for link in links:
            link.close(reset=reset)
            self._links.remove(link)
