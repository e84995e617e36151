"""The message bus in process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from ironbridge._app.bus.broker import Later, Outgoing, Queue
from ironbridge._app.bus.memory import MemoryBroker
from ironbridge.app import (
    Message,
    MessageBusController,
    MessageBusPublisherInterceptor,
    MessageHandler,
    MessageOf,
    MessagePayloadValidationError,
    Microservice,
    ProviderSpec,
    create_http_server,
    create_messagebus_worker,
    provide_implicit_headers,
    use_publisher,
)
from ironbridge.errors import ConfigurationError, ServiceUnavailable
from pydantic import BaseModel

from app.bus_services import Orders, Placed, Seen
from app.waiting import until


@asynccontextmanager
async def served(*controllers: Any, interceptors: Any = ()) -> AsyncIterator[tuple[httpx.AsyncClient, Seen]]:
    """A server of these controllers on the test's own loop, and what they see."""
    seen = Seen()
    app = Microservice([ProviderSpec(provide=Seen, use_value=seen)], list(controllers or (Orders,)), list(interceptors))
    server = create_http_server(app)
    async with server.router.lifespan_context(server):
        transport = httpx.ASGITransport(server, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield client, seen


async def test_what_a_request_publishes_is_handled_when_it_has_ended_well() -> None:
    async with served() as (client, seen):
        assert (await client.post("/orders/7")).json() == "placed"
        found = await seen.wait(3)
    assert (7, "ok", 1) in found
    assert ("told", "order 7", {}) in found
    assert any(one[0] == "plain" and one[1].number == 7 for one in found)


async def test_a_request_that_fails_publishes_nothing() -> None:
    async with served() as (client, seen):
        assert (await client.post("/orders/1", params={"fail": True})).status_code == 500
        await client.post("/orders/2")
        found = await seen.wait(3)
    assert not any(one[0] == 1 or one[1] == "order 1" for one in found)


async def test_a_handler_that_fails_is_tried_again_and_sends_nothing_of_the_attempt_that_failed() -> None:
    async with served() as (client, seen):
        await client.post("/orders/1", params={"wish": "once"})
        found = await seen.wait(4)
    assert [one for one in found if one[0] == 1] == [(1, "once", 1), (1, "once", 2)]
    assert not any("never sent" in one for one in found)


@pytest.mark.parametrize(("wish", "attempts"), [("fail", 3), ("reject", 1)])
async def test_what_cannot_be_handled_goes_to_the_dead_letters(wish: str, attempts: int) -> None:
    bus = MessageBusPublisherInterceptor(f"memory://dead-{wish}")
    async with served(interceptors=[bus]) as (client, seen):
        await client.post("/orders/1", params={"wish": wish})
        await seen.wait(2 + attempts)
        broker = MemoryBroker.named(f"dead-{wish}")
        await until(lambda: len(broker.dead) > 0)
    assert [one[2] for one in seen.all if one[0] == 1] == list(range(1, attempts + 1))
    assert Placed.model_validate_json(broker.dead[0].body) == Placed(number=1, wish=wish)


@pytest.mark.parametrize(("wish", "attempts"), [("later", [1, 2]), ("again", [1, 1])])
async def test_a_handler_may_have_its_message_come_again(wish: str, attempts: list[int]) -> None:
    async with served() as (client, seen):
        await client.post("/orders/1", params={"wish": wish})
        await seen.wait(4)
    assert [one[2] for one in seen.all if one[0] == 1] == attempts


async def test_a_task_that_nobody_takes_is_an_error_for_whoever_publishes_it() -> None:
    class Lost(Message):
        MESSAGE_TOPIC = "lost"

    with pytest.raises(ServiceUnavailable, match="nobody takes the topic 'lost'"):
        await MemoryBroker().publish(Outgoing("lost", b"{}"))
    await MemoryBroker().publish(Outgoing("lost", b"{}", is_task=False))


async def test_a_message_without_a_topic_is_refused() -> None:
    class Nameless(BaseModel):
        pass

    from ironbridge._app.bus.publisher import MessagePublisher

    with pytest.raises(ConfigurationError, match="MESSAGE_TOPIC"):
        await MessagePublisher(MemoryBroker()).publish(Nameless())


async def test_a_publisher_outside_of_everything_says_where_it_belongs() -> None:
    with pytest.raises(LookupError, match="no publisher 'default' here"):
        use_publisher()


async def test_delayed_messages_of_one_key_are_one() -> None:
    broker, taken = MemoryBroker(), asyncio.Queue[bytes]()
    queue = Queue("q", "later")

    async def take(message: Any) -> None:
        taken.put_nowait(message.body)
        message.ack()

    await broker.consume(queue, take)
    now = time.time()
    await broker.publish_later(Outgoing("later", b"first"), Later(now + 0.3, "key"))
    await broker.publish_later(Outgoing("later", b"second"), Later(now + 0.05, "key", "replace", "lesser"))
    assert await asyncio.wait_for(taken.get(), 5) == b"second"
    await broker.publish_later(Outgoing("later", b"third"), Later(time.time() + 0.05, "key", "ignore"))
    await broker.publish_later(Outgoing("later", b"fourth"), Later(time.time() + 0.05, "key", "ignore"))
    assert await asyncio.wait_for(taken.get(), 5) == b"third"
    assert taken.empty()


async def test_headers_of_a_message_go_with_what_is_published_meanwhile() -> None:
    from ironbridge._app.bus.publisher import MessagePublisher

    sent: list[Outgoing] = []

    class Keeping(MemoryBroker):
        async def publish(self, message: Outgoing) -> None:
            sent.append(message)

    publisher = MessagePublisher(Keeping())
    with provide_implicit_headers({"tenant": "a"}), provide_implicit_headers({"user": "b"}):
        await publisher.publish(Placed(number=1))
    with provide_implicit_headers({"tenant": "a"}), provide_implicit_headers({"user": "b"}, reset=True):
        await publisher.publish(Placed(number=2))
    await publisher.flush()
    assert [one.headers for one in sent] == [{"tenant": "a", "user": "b"}, {"user": "b"}]


def test_a_worker_of_a_bus_in_process_says_that_the_server_does_its_work() -> None:
    app = Microservice([ProviderSpec(provide=Seen, use_class=Seen)], [Orders])
    with pytest.raises(ConfigurationError, match="its server handles the messages"):
        create_messagebus_worker(app)


def test_a_handler_that_is_no_coroutine_or_takes_no_message_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="async def"):

        @MessageHandler(Placed)
        def plain(self: Any, message: Placed) -> None: ...

    with pytest.raises(ConfigurationError, match="a parameter for the message"):

        @MessageHandler(Placed)
        async def empty(self: Any) -> None: ...


async def test_a_handler_that_takes_too_long_has_failed() -> None:
    @MessageBusController()
    class Slow:
        def __init__(self, seen: Seen) -> None:
            self.seen = seen

        @MessageHandler(
            Placed, timeout=0.05, nack_delay_on_exception=0, exception_handler=lambda error: failures.append(error)
        )
        async def handle(self, message: MessageOf[Placed]) -> None:
            self.seen.add("began")
            await asyncio.sleep(30)

    failures: list[BaseException] = []
    async with served(Slow, interceptors=[MessageBusPublisherInterceptor("memory://slow")]) as (_, seen):
        await MemoryBroker.named("slow").publish(Outgoing("order.placed", b'{"number":1}'))
        await seen.wait(1)
        await until(lambda: len(failures) > 0)
    assert isinstance(failures[0], TimeoutError)


async def test_a_message_that_is_not_what_its_handler_takes_is_rejected_at_once() -> None:
    bus = MessageBusPublisherInterceptor("memory://malformed")
    async with served(interceptors=[bus]) as (_, seen):
        broker = MemoryBroker.named("malformed")
        await broker.publish(Outgoing("order.placed", b'{"number": "many"}'))
        await broker.publish(Outgoing("order.placed", b"no json"))
        await until(lambda: len(broker.dead) == 2)
    assert seen.all == []


async def test_an_exception_handler_is_told_of_a_message_that_is_not_what_its_handler_takes() -> None:
    told: list[Exception] = []

    @MessageBusController()
    class Picky:
        @MessageHandler(Placed, exception_handler=told.append)
        async def handle(self, message: MessageOf[Placed]) -> None:
            raise AssertionError("it is not handled")

    async with served(Picky, interceptors=[MessageBusPublisherInterceptor("memory://picky")]):
        broker = MemoryBroker.named("picky")
        await broker.publish(Outgoing("order.placed", b'{"number": "many"}'))
        await until(lambda: len(broker.dead) == 1)
    [error] = told
    assert isinstance(error, MessagePayloadValidationError) and error.message_type is Placed
    assert "number" in str(error.error)


class One(Message):
    MESSAGE_TOPIC = "one"


class Other(Message):
    MESSAGE_TOPIC = "other"


@MessageBusController()
class Wrong:
    @MessageHandler(One)
    async def handle(self, message: MessageOf[Other]) -> None:
        pass


async def test_a_handler_whose_parameter_is_another_message_s_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="One: annotate its message so"):
        async with served(Wrong):
            pass
