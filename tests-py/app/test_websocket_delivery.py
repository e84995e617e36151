"""Broadcasts as a server delivers them: a frame made once, past the layers between, in order with all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import WebSocket, WebSocketDisconnect
from ironbridge._app.ws.clients import Clients
from ironbridge._app.ws.direct import Connection, frame_of
from ironbridge._app.ws.sweeping import CROWD
from ironbridge.app import Microservice, RestController, WebSocketEndpoint, create_http_server, use_ws_manager
from websockets.asyncio.client import ClientConnection, connect
from websockets.frames import Frame, Opcode

from app.waiting import until

SIZES = [0, 1, 125, 126, 65_535, 65_536, 300_000]


@RestController("/all")
class All:
    """Has everybody get what each says; `sizes`: data of many sizes, and a word to the one alone after each; `burst N`: so
    many numbers."""

    @WebSocketEndpoint("/")
    async def connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        manager = use_ws_manager()
        await manager.add_websocket(websocket)
        await websocket.send_text("in")
        try:
            while True:
                text = await websocket.receive_text()
                if text.startswith("burst "):
                    for number in range(int(text.removeprefix("burst "))):
                        await manager.broadcast(f"{number}".encode())
                        await asyncio.sleep(0)
                elif text == "sizes":
                    for size in SIZES:
                        await manager.broadcast(b"x" * size)
                        await websocket.send_text(f"that was {size}")
                else:
                    await manager.broadcast(text.encode())
        except WebSocketDisconnect:
            return


class Counting:
    """ASGI middleware that sees what is sent."""

    seen = 0

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            Counting.seen += message["type"] == "websocket.send"
            await send(message)

        await self._app(scope, receive, counted)


@asynccontextmanager
async def serving(*middlewares: Any) -> AsyncIterator[str]:
    """The application at uvicorn, on the test's own loop; gives its URL."""
    asgi = create_http_server(Microservice(controllers=[All]))
    for middleware in middlewares:
        asgi.add_middleware(middleware)
    server = uvicorn.Server(uvicorn.Config(asgi, port=0, log_level="error"))
    sockets = [server.config.bind_socket()]
    task = asyncio.create_task(server.serve(sockets))
    await until(lambda: server.started)
    try:
        yield f"ws://127.0.0.1:{sockets[0].getsockname()[1]}/all/"
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(url, max_size=None, **options) as connected:
        assert await next_of(connected) == "in"
        yield connected


async def next_of(connected: ClientConnection) -> str | bytes:
    return await asyncio.wait_for(connected.recv(), 10)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of frames that went straight to connections."""
    sizes: list[int] = []
    write = Connection.write

    def counted(self: Connection, frame: bytes) -> bool:
        sizes.append(len(frame))
        return write(self, frame)

    monkeypatch.setattr(Connection, "write", counted)
    return sizes


@pytest.mark.parametrize("size", SIZES)
def test_frames_are_those_of_the_library(size: int) -> None:
    data = b"a" * size
    assert frame_of(data) == Frame(Opcode.BINARY, data).serialize(mask=False)


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_data_of_any_size_comes_whole_and_in_order_with_or_without_compression(
    compression: str | None, written: list[int]
) -> None:
    async with serving() as url, client(url, compression=compression) as one, client(url) as other:
        await one.send("sizes")
        for size in SIZES:
            assert await next_of(one) == b"x" * size
            assert await next_of(one) == f"that was {size}"
            assert await next_of(other) == b"x" * size
        await other.send("and again, compressed" * 10)
        assert await next_of(one) == b"and again, compressed" * 10
    assert len(written) == 2 * (len(SIZES) + 1)


async def test_one_that_has_gone_is_passed_over() -> None:
    async with serving() as url, client(url) as one:
        async with client(url) as other:
            await other.send("hello")
            assert await next_of(one) == await next_of(other) == b"hello"
        await one.send("still here")
        assert await next_of(one) == b"still here"


async def test_middlewares_that_change_what_is_sent_see_it_all(written: list[int]) -> None:
    Counting.seen = 0
    async with serving(Counting) as url, client(url) as one, client(url) as other:
        await one.send("hello")
        assert await next_of(one) == await next_of(other) == b"hello"
    assert Counting.seen == 4 and written == []


class Socket:
    """A websocket that keeps what is sent to it."""

    def __init__(self, seen: list[bytes]) -> None:
        self._seen = seen

    async def send_bytes(self, data: bytes) -> None:
        """Keeps it."""
        self._seen.append(data)


@asynccontextmanager
async def crowd(url: str, count: int) -> AsyncIterator[list[ClientConnection]]:
    """So many clients."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(client(url)) for _ in range(count)]


@pytest.mark.parametrize("count", [CROWD, CROWD + 1, 3 * CROWD])
async def test_a_burst_comes_to_each_of_a_crowd_whole_and_in_order(count: int, written: list[int]) -> None:
    async with serving() as url, crowd(url, count) as clients:
        await clients[0].send("burst 200")
        for one in clients:
            assert [await next_of(one) for _ in range(200)] == [f"{number}".encode() for number in range(200)]
    if count == 3 * CROWD:
        assert len(written) < 200 * count / 2, "what comes together leaves together"


async def test_a_crowd_gets_a_burst_that_lets_nobody_else_run() -> None:
    clients = Clients()
    seen: list[bytes] = []
    for _ in range(2 * CROWD):
        clients.join(["room"], Socket(seen))  # type: ignore[arg-type]
    for number in range(500):
        clients.deliver(b"%d" % number, ["room"])
    await until(lambda: len(seen) == 500 * 2 * CROWD)
    await clients.close()


async def test_what_waits_for_one_of_a_crowd_comes_before_what_is_sent_to_it_alone() -> None:
    clients = Clients()
    seen: list[bytes] = []
    one = Socket(seen)
    clients.join(["alone"], one)  # type: ignore[arg-type]
    for other in [*(Socket([]) for _ in range(2 * CROWD)), one]:
        clients.join(["all"], other)  # type: ignore[arg-type]
    clients.deliver(b"to all", ["all"])
    clients.deliver(b"to one", ["alone"])
    await until(lambda: len(seen) == 2)
    assert seen == [b"to all", b"to one"]
    await clients.close()
