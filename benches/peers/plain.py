"""A hand-written server: a Unix socket, msgpack, a thread for each connection. What to beat first."""

import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

from contract import Service
from msgpack import packb, unpackb

DISTRIBUTIONS = ("msgpack",)
SHARED = False
EXTRA: dict[str, Any] = {}

LENGTH = struct.Struct(">I")


def receive(stream: socket.socket) -> Any:
    """One frame: four bytes of length, then msgpack. None when the other side has gone."""
    data = stream.recv(65536)
    if not data:
        return None
    (size,) = LENGTH.unpack_from(data)
    if len(data) == size + 4:
        return unpackb(data[4:])
    whole = bytearray(size)
    filled = len(data) - 4
    whole[:filled] = data[4:]
    view = memoryview(whole)
    while filled < size:
        filled += stream.recv_into(view[filled:])
    return unpackb(view)


def send(stream: socket.socket, value: object) -> None:
    """Sends one frame."""
    payload = packb(value)
    stream.sendall(LENGTH.pack(len(payload)) + payload)


def serve(address: str, ready: Callable[[], None]) -> None:
    """Accepts for ever."""
    service = Service()
    endpoints: dict[str, Callable[..., object]] = {"get": service.get, "echo": service.echo}

    def talk(stream: socket.socket) -> None:
        with stream:
            while (request := receive(stream)) is not None:
                name, arguments = request
                try:
                    reply = (True, endpoints[name](*arguments))
                except Exception as error:
                    reply = (False, f"{type(error).__name__}: {error}")
                send(stream, reply)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(128)
        ready()
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


class Client:
    """One connection, for one thread."""

    def __init__(self, address: str) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.connect(address)

    def call(self, name: str, *arguments: object) -> Any:
        """Calls an endpoint by name."""
        send(self.stream, (name, arguments))
        succeeded, result = receive(self.stream)
        if not succeeded:
            raise RuntimeError(result)
        return result

    def get(self, word: str) -> Any:
        """Greets."""
        return self.call("get", word)

    def echo(self, data: bytes) -> Any:
        """Gives back what it got."""
        return self.call("echo", data)

    def close(self) -> None:
        """Lets the connection go."""
        self.stream.close()
