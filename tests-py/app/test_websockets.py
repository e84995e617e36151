"""Websockets: rooms and broadcasts, within one process and across instances at a Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from fastapi import WebSocket, WebSocketDisconnect
from fastapi.testclient import TestClient
from harness import Redis
from ironbridge._app.ws import clients as limits
from ironbridge._app.ws.clients import Clients
from ironbridge.app import (
    Microservice,
    Post,
    RedisWebSocketConnectionBackend,
    RestController,
    WebSocketEndpoint,
    WebSocketInterceptor,
    WebSocketMessage,
    create_http_server,
    use_ws_manager,
)
from ironbridge.errors import ConfigurationError, ServiceUnavailable

from app.waiting import until


class Note(WebSocketMessage):
    MESSAGE_ID = "note"
    text_body: str


@RestController("/chat")
class Chat:
    @WebSocketEndpoint("/{room}")
    async def connect(self, websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        manager = use_ws_manager()
        await manager.add_websocket(websocket)
        await manager.join([room], websocket)
        await Note(text_body=f"welcome to {room}").send(room)
        while True:
            try:
                text = await websocket.receive_text()
            except WebSocketDisconnect:
                return
            if text == "leave":
                await manager.leave([room], websocket)
            await manager.broadcast(text.encode())

    @Post("/{room}")
    async def say(self, room: str, text: str, fail: bool = False) -> int:
        await Note(text_body=text).send(room)
        if fail:
            raise RuntimeError("said nothing after all")
        present: int = await use_ws_manager().presence(room)
        return present


def served(*interceptors: Any) -> TestClient:
    application = create_http_server(Microservice(controllers=[Chat], interceptors=list(interceptors)))
    return TestClient(application, raise_server_exceptions=False)


def text_of(data: bytes) -> str:
    told = json.loads(data)
    assert told["MESSAGE_ID"] == "note"
    return str(told["message"]["text_body"])


def test_a_message_reaches_those_in_its_room_and_a_broadcast_all() -> None:
    with served() as client, client.websocket_connect("/chat/a") as one, client.websocket_connect("/chat/b") as other:
        assert text_of(one.receive_bytes()) == "welcome to a"
        assert text_of(other.receive_bytes()) == "welcome to b"
        assert client.post("/chat/a", params={"text": "hello"}).json() == 1
        one.send_text("all of you")
        assert text_of(one.receive_bytes()) == "hello"
        assert one.receive_bytes() == other.receive_bytes() == b"all of you"


def test_a_request_that_fails_sends_nothing() -> None:
    with served() as client, client.websocket_connect("/chat/a") as one:
        one.receive_bytes()
        assert client.post("/chat/a", params={"text": "lost", "fail": True}).status_code == 500
        client.post("/chat/a", params={"text": "kept"})
        assert text_of(one.receive_bytes()) == "kept"


def test_whoever_has_left_a_room_gets_its_messages_no_more() -> None:
    with served() as client, client.websocket_connect("/chat/a") as one:
        one.receive_bytes()
        one.send_text("leave")
        assert one.receive_bytes() == b"leave"
        assert client.post("/chat/a", params={"text": "for nobody"}).json() == 0
        one.send_text("still here")
        assert one.receive_bytes() == b"still here"


def test_a_websocket_that_has_gone_is_in_no_room() -> None:
    with served() as client:
        with client.websocket_connect("/chat/a") as one:
            one.receive_bytes()
        assert client.post("/chat/a", params={"text": "for nobody"}).json() == 0


class Stuck:
    """A websocket whose client reads nothing."""

    def __init__(self) -> None:
        self.closed: int | None = None

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.Event().wait()

    async def close(self, code: int, reason: str) -> None:
        self.closed = code


async def test_a_client_that_is_too_slow_is_let_go_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_WAITING", 10)
    clients, stuck, quick = Clients(), Stuck(), Sent()
    clients.join(["all"], stuck)  # type: ignore[arg-type]
    clients.join(["all"], quick)  # type: ignore[arg-type]
    for number in range(20):
        clients.deliver(str(number).encode(), ["all"])
        await asyncio.sleep(0)
    await until(lambda: stuck.closed is not None)
    assert stuck.closed == 1013
    await until(lambda: len(quick.sent) == 20)
    assert clients.counts() == {"all": 1}
    await clients.close()


class Sent:
    """A websocket that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


async def test_a_websocket_in_two_of_the_rooms_gets_a_message_once() -> None:
    clients, socket = Clients(), Sent()
    clients.join(["a", "b"], socket)  # type: ignore[arg-type]
    clients.deliver(b"once", ["a", "b"])
    await until(lambda: len(socket.sent) > 0)
    await asyncio.sleep(0)
    assert socket.sent == [b"once"]


# ---- across instances --------------------------------------------------------------------------------------


@asynccontextmanager
async def instance(redis: Redis, socket: Sent, *rooms: str) -> AsyncIterator[RedisWebSocketConnectionBackend]:
    """One instance of an application, with one websocket."""
    url = f"redis://{redis.host}:{redis.port}"
    backend = RedisWebSocketConnectionBackend(url, "test:broadcast", "test:send", retry_delay=0.05)
    clients = Clients()
    clients.join(rooms, socket)  # type: ignore[arg-type]
    await backend.start(clients.deliver, clients.counts)
    try:
        yield backend
    finally:
        await backend.stop()
        await clients.close()


async def test_instances_reach_each_other_s_websockets(redis: Redis) -> None:
    here, there = Sent(), Sent()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(instance(redis, here, "a"))
        await stack.enter_async_context(instance(redis, there, "a", "b"))
        await one.broadcast(b"all")
        await one.send(["b", "c"], Note(text_body="hi").encoded())
        await until(lambda: len(there.sent) == 2 and len(here.sent) == 1)
    assert here.sent == [b"all"]
    assert there.sent == [b"all", b'{"MESSAGE_ID":"note","message":{"text_body":"hi"}}']


async def test_messages_between_instances_are_in_the_original_s_form(redis: Redis) -> None:
    from redis.asyncio import Redis as Client

    socket = Sent()
    async with Client(host=redis.host, port=redis.port) as client, client.pubsub() as pubsub:
        await pubsub.subscribe("test:send", "test:broadcast")
        async with instance(redis, socket, "room1") as one:
            await one.send(["room1", "room2"], b'{"a":1}')
            await one.broadcast(b"\x00raw\xff")
            found: list[tuple[bytes, bytes]] = []
            while len(found) < 2:
                message = await pubsub.get_message(timeout=10)
                if message and message["type"] == "message":
                    found.append((message["channel"], message["data"]))
            # As the original's instances would.
            await client.publish("test:send", b'room1\x00{"b":"\x00"}')
            await until(lambda: len(socket.sent) == 3)
    assert found == [(b"test:send", b'room1,room2\x00{"a":1}'), (b"test:broadcast", b"\x00raw\xff")]
    assert socket.sent[2] == b'{"b":"\x00"}'


async def test_presence_counts_all_instances(redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(instance(redis, Sent(), "lobby"))
        other = await stack.enter_async_context(instance(redis, Sent(), "lobby"))
        await other.presence("lobby")
        assert await one.presence("lobby") == 2


async def test_a_lost_subscription_is_made_again() -> None:
    with Redis() as own:
        socket = Sent()
        async with instance(own, socket, "a") as one:
            await asyncio.to_thread(own.restart)

            async def arrives() -> bool:
                try:
                    await one.broadcast(b"again")
                except ServiceUnavailable:
                    return False
                return bool(socket.sent)

            await until(arrives)
    assert socket.sent[0] == b"again"


async def test_a_room_s_name_that_the_form_has_no_place_for_is_refused(redis: Redis) -> None:
    async with instance(redis, Sent(), "a") as one:
        with pytest.raises(ConfigurationError, match="no comma"):
            await one.send(["a,b"], b"x")


async def test_a_redis_that_is_not_there_is_told() -> None:
    interceptor = WebSocketInterceptor(RedisWebSocketConnectionBackend("redis://127.0.0.1:1", retry_delay=0.1))
    from ironbridge._app.ws import redis as backend

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "_SUBSCRIBED", 0.5)
        application = create_http_server(Microservice(controllers=[Chat], interceptors=[interceptor]))
        with pytest.raises(ServiceUnavailable, match="Redis"):
            async with application.router.lifespan_context(application):
                pass
