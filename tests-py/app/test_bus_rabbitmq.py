"""The message bus over RabbitMQ: workers, publishers, dead letters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import httpx
import pytest
from harness import Redis
from ironbridge._app.bus.backend import RedisMessageBrokerBackend
from ironbridge._app.bus.broker import Later, Outgoing
from ironbridge._app.bus.connecting import AIOPikaConnectionFactory, open_broker, with_parts
from ironbridge._app.bus.deadletters import DeadLetters
from ironbridge.app import (
    BeatWorker,
    MessageBusPublisherInterceptor,
    MessageBusWorker,
    Microservice,
    ProviderSpec,
    create_http_server,
)
from ironbridge.errors import ServiceUnavailable

from app.bus_services import Orders, Placed, Seen
from app.waiting import until

QUEUE = "order.placed.app.bus_services.Orders.handle"


@pytest.fixture
def bus(vhost: str) -> str:
    """A bus of this test alone."""
    return f"{vhost}?exchange=shop&prefetch_count=20"


@asynccontextmanager
async def worker(bus: str, backend: str | None = None) -> AsyncIterator[Seen]:
    """A worker on the test's own loop, and what it sees."""
    seen, ready = Seen(), asyncio.Event()
    app = Microservice([ProviderSpec(provide=Seen, use_value=seen)], [Orders], [], asyncio.Event(), ready)
    running = asyncio.create_task(MessageBusWorker(app, bus, backend).start_async())
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([running, waiting], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        await running
    await until_there(bus)
    try:
        yield seen
    finally:
        assert app.shutdown_event
        app.shutdown_event.set()
        await asyncio.wait_for(running, 20)


async def until_there(bus: str) -> None:
    """Returns when the worker's queues are."""
    async with asyncio.timeout(20), await aio_pika.connect(bus.partition("?")[0]) as connection:
        while True:
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue("order.told.app.bus_services.Orders.told", passive=True)
                if queue.declaration_result.consumer_count:
                    return
            except aio_pika.exceptions.ChannelNotFoundEntity:
                pass
            await asyncio.sleep(0.02)


@asynccontextmanager
async def server(bus: str) -> AsyncIterator[httpx.AsyncClient]:
    """A server that publishes there."""
    app = Microservice([ProviderSpec(provide=Seen, use_class=Seen)], [Orders], [MessageBusPublisherInterceptor(bus)])
    asgi = create_http_server(app)
    async with asgi.router.lifespan_context(asgi):
        transport = httpx.ASGITransport(asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield client


async def test_a_worker_handles_what_a_server_publishes(bus: str) -> None:
    async with worker(bus) as seen, server(bus) as client:
        assert (await client.post("/orders/7")).json() == "placed"
        found = await seen.wait(3)
    assert (7, "ok", 1) in found and ("told", "order 7", {}) in found


async def test_a_task_that_nobody_takes_fails_the_request(bus: str) -> None:
    async with server(bus) as client:
        assert (await client.post("/orders/7")).status_code == 500


async def test_messages_look_as_the_original_writes_them(bus: str) -> None:
    async with await aio_pika.connect(bus.partition("?")[0]) as connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange("shop", "topic", durable=True)
        queue = await channel.declare_queue("seen")
        await queue.bind(exchange, "order.#")
        broker = await open_broker(bus)
        try:
            await broker.publish(Outgoing("order.placed", Placed(number=1).model_dump_json().encode()))
        finally:
            await broker.close()
        message = await queue.get(timeout=10)
    assert (message.routing_key, message.body) == ("order.placed.#", b'{"number":1,"wish":"ok"}')
    assert message.delivery_mode == 2
    assert message.message_id is not None and len(message.message_id) == 32
    assert (message.content_type, message.timestamp, message.type) == (None, None, None)


async def test_queues_are_those_that_the_original_declares(bus: str) -> None:
    async with worker(bus), await aio_pika.connect(bus.partition("?")[0]) as connection:
        # RabbitMQ refuses a declaration that differs in anything.
        channel = await connection.channel()
        await channel.declare_exchange("shop", "topic", durable=True)
        await channel.declare_exchange("dlx", "direct", durable=True)
        dead: dict[str, Any] = {"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": "dlx"}
        await channel.declare_queue(QUEUE, durable=True, arguments=dead)
        own: dict[str, Any] = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlx"}
        await channel.declare_queue("dlq", durable=True, arguments=own)


@pytest.mark.parametrize("has_redis", [False, True])
async def test_a_handler_that_fails_is_tried_again_with_redis_or_without(
    bus: str, redis: Redis, has_redis: bool
) -> None:
    backend = f"redis://{redis.host}:{redis.port}/5" if has_redis else None
    async with worker(bus, backend) as seen, server(bus) as client:
        stopping = asyncio.Event()
        app = Microservice(controllers=[Orders])
        beat = BeatWorker(app, 0.05, bus, backend, shutdown_event=stopping)
        beating = asyncio.create_task(beat.run())
        await client.post("/orders/1", params={"wish": "once"})
        await seen.wait(4)
        stopping.set()
        await beating
    assert [one for one in seen.all if one[0] == 1] == [(1, "once", 1), (1, "once", 2)]


async def test_dead_letters_are_shown_and_sent_again_and_none_is_lost(bus: str) -> None:
    async with worker(bus) as seen, server(bus) as client:
        await client.post("/orders/5", params={"wish": "reject"})
        await client.post("/orders/6", params={"wish": "reject"})
        await seen.wait(6)
        async with DeadLetters(bus) as letters:

            async def both_are_dead() -> bool:
                return bool((await letters.stats())["total"] == 2)

            await until(both_are_dead)
            assert await letters.stats() == {"total": 2, "queues": {QUEUE: 2}}
            shown = await letters.list()
            assert [Placed.model_validate_json(one.body).number for one in shown] == [5, 6]
            assert {one.reason for one in shown} == {"rejected"}
            # One that dies again while the tool still looks is not held back by it.
            for again in range(6, 12):
                assert await letters.requeue(limit=1) == 1
                await seen.wait(again + 1)
                assert seen.all[again][1] == "reject"
                await until(both_are_dead)
            assert seen.all[6][0] == 5
            assert await letters.purge() == 2
            assert await letters.stats() == {"total": 0, "queues": {}}


async def test_a_delayed_message_comes_at_its_time_in_the_original_s_form(redis: Redis, bus: str) -> None:
    backend = RedisMessageBrokerBackend(f"redis://{redis.host}:{redis.port}/6")
    from redis.asyncio import Redis as Client

    async with Client(host=redis.host, port=redis.port, db=6) as client:
        await client.flushdb()
        await backend.publish_later(Outgoing("order.placed", b'{"number":1}'), Later(1_700_000_000, "key"))
        assert await client.zrange("delayed_messages", 0, -1, withscores=True) == [(b"key", 1_700_000_000.0)]
        text = await client.get("delayed_messages_metadata:key")
    assert text == (
        b'{"message_topic":"order.placed","idempotency_key":"key","dispatch_time":1700000000,"payload":"{\\"number\\":1}",'
        b'"headers":{},"target_queue":null,"message_id":null,"content_type":null,"payload_policy":"ignore",'
        b'"time_policy":"replace","content_encoding":null}'
    )
    async with worker(bus) as seen:
        broker = await open_broker(AIOPikaConnectionFactory(bus))
        try:
            assert await backend.drain(broker, time.time()) == 1
            assert await backend.drain(broker, time.time()) == 0
        finally:
            await broker.close()
        assert await seen.wait(1) == [(1, "ok", 1)]


async def test_a_broker_that_is_not_there_is_told() -> None:
    import ironbridge._app.bus.amqp as amqp

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(amqp, "_OPEN_TIMEOUT", 0.5)
        with pytest.raises(ServiceUnavailable, match="could not be reached"):
            await open_broker("amqp://127.0.0.1:1/")


def test_parts_that_are_given_beside_a_url_take_their_place() -> None:
    assert with_parts("amqp://a:b@host/v?exchange=x", None, None, None, None) == "amqp://a:b@host/v?exchange=x"
    found: Any = with_parts("amqp://a:b@host:99/v?exchange=x", "me", "p/w", "y", 3)
    assert found == "amqp://me:p%2Fw@host:99/v?exchange=y&prefetch_count=3"
