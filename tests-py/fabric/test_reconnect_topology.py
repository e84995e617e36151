"""What others delete at the broker under a connector comes back; a channel that the broker closes, too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness import RabbitMQ
from ironbridge.fabric import IncomingMessage

from fabric.clique import IDENTITY, caller, eventually, served, server
from fabric.whole import Api, Whole


@contextmanager
def impatient(broker: RabbitMQ) -> Iterator[None]:
    """On channels that are opened meanwhile, what is not acknowledged within 0.3 s closes them."""
    setting = "application:set_env(rabbit, {}, {})"
    try:
        broker.eval(setting.format("consumer_timeout", 300))
        broker.eval(setting.format("channel_tick_interval", 100))
        yield
    finally:
        broker.eval(setting.format("consumer_timeout", 1_800_000))
        broker.eval(setting.format("channel_tick_interval", 60_000))


METHOD = "stage.api.actor.hamlet::{}"


def _delete_exchange(broker: RabbitMQ, name: str, vhost: str) -> None:
    resource = f'rabbit_misc:r(<<"{vhost}">>, exchange, <<"{name}">>)'
    broker.eval(f'rabbit_exchange:delete({resource}, false, <<"harness">>)')


async def test_a_methods_queue_that_was_deleted_is_served_again(
    rabbitmq: RabbitMQ, vhost: str, vhost_name: str
) -> None:
    api = Api()
    async with server(vhost) as serving, caller(vhost) as connector:
        await serving.rpc_register(api)
        service = await served(connector)
        call = service.hold(tag="a")
        await eventually(lambda: api.held)
        for number in range(3):
            rabbitmq.delete_queue(METHOD.format("mirror"), vhost_name)
            rabbitmq.delete_queue(METHOD.format("hold"), vhost_name)
            await eventually(
                lambda: {METHOD.format("mirror"), METHOD.format("hold")} <= rabbitmq.queues(vhost_name).keys()
            )
            assert await asyncio.wait_for(service.mirror(value=number), 10) == number
            assert rabbitmq.queues(vhost_name)[METHOD.format("mirror")]["consumers"] == 1
        api.let.set()
        if not call.done():
            assert await asyncio.wait_for(service.hold(tag="b"), 10) == ["b", False]
        await asyncio.wait([call], timeout=10)
        assert call.done()
        call.exception()


async def test_every_queue_deleted_at_once(rabbitmq: RabbitMQ, vhost: str, vhost_name: str) -> None:
    async with Whole(vhost) as whole:
        await whole.works()
        for _ in range(2):
            for queue in rabbitmq.queues(vhost_name):
                rabbitmq.delete_queue(queue, vhost_name)
            await whole.works()
    await eventually(lambda: not rabbitmq.queues(vhost_name), what="no queue is left")


@pytest.mark.parametrize("exchange", ["stage.data", "msc.discovery", "stage.log.records"])
async def test_an_exchange_that_was_deleted_is_there_again(
    rabbitmq: RabbitMQ, vhost: str, vhost_name: str, exchange: str
) -> None:
    async with Whole(vhost) as whole:
        await whole.works()
        _delete_exchange(rabbitmq, exchange, vhost_name)
        # Only the binding of a subscription goes unnoticed by those who subscribe: they connect anew.
        rabbitmq.close_connections()
        await whole.lost()
        await whole.works()
        assert exchange in rabbitmq.exchanges(vhost_name)


@pytest.mark.parametrize("exchange", ["stage.data", "msc.discovery"])
async def test_publishing_makes_a_deleted_exchange_again_and_loses_nothing(
    rabbitmq: RabbitMQ, vhost: str, vhost_name: str, exchange: str
) -> None:
    async with server(vhost, keep_alive_seconds=0.1) as serving:
        await serving.publish_data(b"before", {})
        _delete_exchange(rabbitmq, exchange, vhost_name)
        published = [serving.publish_data(b"after", {}) for _ in range(10)]
        await asyncio.wait_for(asyncio.gather(*published), 10)
        await eventually(lambda: exchange in rabbitmq.exchanges(vhost_name), what=f"{exchange} is there again")
        assert serving.state == "connected"


def _consumer(broker: RabbitMQ, vhost: str) -> str:
    """The channel on which calls of `hold` are taken now."""
    queue = METHOD.format("hold")
    return broker.eval(
        f'try case rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)) of'
        " {ok, Q} -> [pid_to_list(element(1, C)) || C <- rabbit_amqqueue:consumers(Q)]; _ -> <<>>"
        " end catch _:_ -> <<>> end"
    )


async def test_a_call_that_the_broker_takes_back_for_it_takes_too_long_is_answered(
    rabbitmq: RabbitMQ, vhost: str, vhost_name: str
) -> None:
    api = Api()
    with impatient(rabbitmq):
        async with server(vhost) as serving, caller(vhost) as connector:
            await serving.rpc_register(api)
            service = await served(connector)
            call = service.hold(tag="a")
            await eventually(lambda: api.held)
            first = _consumer(rabbitmq, vhost_name)
            # The broker closes the channel (406).
            await eventually(lambda: _consumer(rabbitmq, vhost_name) not in ("", first), what="another consumes")
            api.let.set()
            assert (await asyncio.wait_for(call, 10))[0] == "a"
            assert await service.mirror(value=1) == 1
            assert serving.state == "connected"


async def test_a_message_that_is_held_for_too_long_comes_again(rabbitmq: RabbitMQ, vhost: str) -> None:
    with impatient(rabbitmq):
        async with caller(vhost) as connector:
            taken: list[IncomingMessage] = []

            async def callback(message: IncomingMessage) -> None:
                taken.append(message)
                if message.redelivered:
                    message.ack()

            # A second subscriber keeps the queue, which else would go with its only channel.
            await connector.subscribe_data("slow", {"n": 1}, callback, ack="manual", durable=True)
            await connector.publish_data(b"x", {"n": 1})
            await eventually(lambda: any(message.redelivered for message in taken))
            assert connector.state == "connected"
            await connector.subscribe_data("other", {"n": 2}, callback)


async def test_a_subscription_whose_queue_was_deleted_goes_on(rabbitmq: RabbitMQ, vhost: str, vhost_name: str) -> None:
    async with caller(vhost) as connector:
        got: list[bytes] = []
        subscription = await connector.subscribe_data("sub", {"n": 1}, lambda message: got.append(message.body))
        (queue,) = [name for name in rabbitmq.queues(vhost_name) if name.endswith("sub")]
        for number in range(3):
            rabbitmq.delete_queue(queue, vhost_name)
            await eventually(lambda: rabbitmq.queues(vhost_name).get(queue, {}).get("consumers") == 1)
            await connector.publish_data(str(number).encode(), {"n": 1})
            await eventually(lambda n=number: got == [str(one).encode() for one in range(n + 1)])  # type: ignore[misc]
        await subscription.cancel()
        await eventually(lambda: queue not in rabbitmq.queues(vhost_name))
    assert IDENTITY[0] == "stage"
