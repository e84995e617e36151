"""A hand-written asynchronous server and client: uvloop, msgpack, protocols without streams, pipelined."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, cast

import msgpack
import uvloop
from contract import Figures, Service
from timing import sequential_async

DISTRIBUTIONS = ("uvloop", "msgpack")
SHARED = True


class Server(asyncio.Protocol):
    """One connection: what arrived together is answered together."""

    def __init__(self) -> None:
        service = Service()
        self.endpoints: dict[str, Callable[..., object]] = {"get": service.get, "echo": service.echo}
        self.unpacker = msgpack.Unpacker(max_buffer_size=64 << 20)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps where to write."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Runs every call that is whole."""
        self.unpacker.feed(data)
        replies = []
        for call, name, arguments in self.unpacker:
            try:
                reply = (call, True, self.endpoints[name](*arguments))
            except Exception as error:
                reply = (call, False, f"{type(error).__name__}: {error}")
            replies.append(msgpack.packb(reply))
        if replies:
            self.transport.write(b"".join(replies))


def serve(address: str, ready: Callable[[], None]) -> None:
    """Serves on one loop."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_unix_server(Server, address)
        ready()
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


class Connection(asyncio.Protocol):
    """The client's side: calls by number, each with a future."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.pending: dict[int, asyncio.Future[Any]] = {}
        self.numbers = itertools.count()
        self.unpacker = msgpack.Unpacker(max_buffer_size=64 << 20)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps where to write."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what waits."""
        for future in self.pending.values():
            future.cancel()

    def data_received(self, data: bytes) -> None:
        """Resolves what has been answered."""
        self.unpacker.feed(data)
        for call, succeeded, result in self.unpacker:
            future = self.pending.pop(call)
            if future.done():
                continue
            if succeeded:
                future.set_result(result)
            else:
                future.set_exception(RuntimeError(result))

    def get(self, word: str) -> "asyncio.Future[Any]":
        """Greets."""
        call = next(self.numbers)
        future = self.pending[call] = self.loop.create_future()
        self.transport.write(msgpack.packb((call, "get", (word,))))
        return future

    async def close(self) -> None:
        """Lets the connection go."""
        self.transport.close()


async def AsyncClient(address: str) -> Connection:
    """Connects on the running loop."""
    _, connection = await asyncio.get_running_loop().create_unix_connection(Connection, address)
    return connection


def awaited(address: str, seconds: float) -> Figures:
    """Its sequential call: awaited one by one, on uvloop."""

    async def main() -> Figures:
        client = await AsyncClient(address)
        figures = await sequential_async(client.get, "mundo! 0123456789", seconds)
        await client.close()
        return figures

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


EXTRA = {"get": awaited}
