"""The endpoints that tell whether a server lives, and whether it can serve."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from harness import Redis, Relay
from ironbridge._app.http import health as checks
from ironbridge.app import (
    AIOSQAConfig,
    AIOSqlAlchemySessionInterceptor,
    Get,
    HttpMicroservice,
    MessageBusPublisherInterceptor,
    Microservice,
    RedisWebSocketConnectionBackend,
    RestController,
    WebSocketInterceptor,
    create_http_server,
)

from app.waiting import until


@RestController("/health")
class Own:
    """An application's own."""

    @Get("/ready")
    async def ready(self) -> str:
        return "mine"


def test_a_server_lives_and_is_ready_with_all_that_it_stands_on(tmp_path: Path) -> None:
    database = AIOSqlAlchemySessionInterceptor(AIOSQAConfig(f"sqlite+aiosqlite:///{tmp_path / 'db'}"))
    app = Microservice(interceptors=[database, MessageBusPublisherInterceptor("memory://health")])
    with TestClient(create_http_server(app)) as client:
        assert client.get("/health/live").json() == {"status": "ok"}
        answer = client.get("/health/ready")
    told = {"database default": "ok", "bus default": "ok"}
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "checks": told})


def test_a_database_that_does_not_answer_is_named_and_nothing_else_is_told() -> None:
    url = "sqlite+aiosqlite:////nowhere/secret/db"
    app = Microservice(interceptors=[AIOSqlAlchemySessionInterceptor(AIOSQAConfig(url))])
    with TestClient(create_http_server(app)) as client:
        answer = client.get("/health/ready")
        assert client.get("/health/live").status_code == 200
    assert answer.status_code == 503 and "secret" not in answer.text
    assert answer.json() == {"status": "failing", "checks": {"database default": "failing"}}


async def test_a_bus_that_is_lost_is_not_ready_until_it_is_back(vhost: str) -> None:
    user, _, place = vhost.removeprefix("amqp://").rpartition("@")
    address, _, rest = place.partition("/")
    host, _, port = address.partition(":")
    with Relay((host, int(port))) as relay:
        bus = f"amqp://{user}@{relay.address[0]}:{relay.address[1]}/{rest}"
        asgi = create_http_server(Microservice(interceptors=[MessageBusPublisherInterceptor(bus)]))
        transport = httpx.ASGITransport(asgi)
        async with (
            asgi.router.lifespan_context(asgi),
            httpx.AsyncClient(transport=transport, base_url="http://app") as client,
        ):

            async def is_ready() -> bool:
                return (await client.get("/health/ready")).status_code == 200

            assert await is_ready()
            relay.refuse()
            relay.cut()
            await until(lambda: _not(is_ready()))
            relay.welcome()
            await until(is_ready)


async def _not(answer: Any) -> bool:
    return not await answer


def test_websockets_at_a_redis_are_asked_for_too(redis: Redis) -> None:
    backend = RedisWebSocketConnectionBackend(f"redis://{redis.host}:{redis.port}/0")
    with TestClient(create_http_server(Microservice(interceptors=[WebSocketInterceptor(backend)]))) as client:
        assert client.get("/health/ready").json()["checks"] == {"websockets": "ok"}


def test_a_check_that_takes_too_long_fails_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        check_name = "stuck"

        async def check(self) -> None:
            await asyncio.Event().wait()

        @asynccontextmanager
        async def intercept(self) -> Any:
            yield

    monkeypatch.setattr(checks, "CHECK_TIMEOUT", 0.05)
    with TestClient(create_http_server(Microservice(interceptors=[Stuck()]))) as client:
        assert client.get("/health/ready").json()["checks"] == {"stuck": "failing"}


def test_an_application_s_own_endpoints_come_first_and_the_place_can_be_another_or_none() -> None:
    with TestClient(create_http_server(Microservice(controllers=[Own]))) as client:
        assert client.get("/health/ready").json() == "mine"
        assert "/health/live" not in client.get("/openapi.json").json()["paths"]
    with TestClient(create_http_server(HttpMicroservice(Microservice(), health="/sys/"))) as client:
        assert client.get("/sys/live").status_code == 200
    with TestClient(create_http_server(HttpMicroservice(Microservice(), health=None))) as client:
        assert client.get("/health/live").status_code == 404
