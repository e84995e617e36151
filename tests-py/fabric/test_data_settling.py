"""What becomes of a message: acknowledged, rejected or given back, by its callback's end or by what that says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest
from harness import RabbitMQ, wait_until
from ironbridge.fabric import ConfigurationError, IncomingMessage, MessageSettled

from fabric.inbox import Troubles, bodies, connector, messages
from fabric.queues import open_ones, settled


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_a_message_is_acknowledged_when_its_callback_has_ended(
    vhost: str, rabbitmq: RabbitMQ, is_async: bool
) -> None:
    began, may_end = threading.Event(), threading.Event()

    def plain(message: IncomingMessage) -> None:
        began.set()
        assert may_end.wait(20)

    async def coroutine(message: IncomingMessage) -> None:
        began.set()
        assert await asyncio.to_thread(may_end.wait, 20)

    async with connector(vhost) as amq:
        subscription = await amq.subscribe_data("reader", {}, coroutine if is_async else plain)
        await amq.publish_data(b"", {})
        assert await asyncio.to_thread(began.wait, 20)
        await open_ones(rabbitmq, vhost, 1)
        assert subscription.stats() == {"received": 1, "acknowledged": 0, "rejected": 0, "filtered": 0, "open": 1}
        may_end.set()
        assert await settled(rabbitmq, vhost) == 0
        assert subscription.stats() == {"received": 1, "acknowledged": 1, "rejected": 0, "filtered": 0, "open": 0}


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_a_callback_that_raises_rejects_and_its_own_exception_is_told(
    vhost: str, rabbitmq: RabbitMQ, is_async: bool
) -> None:
    troubles, broken, good = Troubles(), ZeroDivisionError("this very one"), bodies()

    def plain(message: IncomingMessage) -> None:
        if message.body == b"bad":
            raise broken
        good(message)

    async def coroutine(message: IncomingMessage) -> None:
        plain(message)

    async with connector(vhost, on_error=troubles) as amq:
        subscription = await amq.subscribe_data("reader", {}, coroutine if is_async else plain)
        await amq.publish_data(b"bad", {})
        await amq.publish_data(b"good", {})
        assert await good.came() == [b"good"]
        [(error, place)] = await troubles.came()
        assert error is broken
        assert "reader" in place
        assert await settled(rabbitmq, vhost) == 0
        assert subscription.stats()["rejected"] == 1
        assert subscription.stats()["acknowledged"] == 1


async def test_without_an_on_error_a_callback_that_raises_is_logged(
    vhost: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(message: IncomingMessage) -> None:
        raise ZeroDivisionError("this very one")

    async with connector(vhost, on_error=None) as amq:
        await amq.subscribe_data("reader", {}, fails)
        await amq.publish_data(b"bad", {})
        await asyncio.to_thread(wait_until, lambda: caplog.records)
        [record] = caplog.records
        assert record.name == "ironbridge.fabric"
        assert record.levelname == "ERROR"
        assert "reader" in record.getMessage()
        assert "this very one" in caplog.text


Said = Callable[[IncomingMessage], Any]
SAID: dict[str, tuple[Said, str, list[bytes]]] = {
    "ack": (lambda message: message.ack(), "acknowledged", [b"next"]),
    "nack": (lambda message: message.nack(), "rejected", [b"it", b"next"]),
    "nack for good": (lambda message: message.nack(requeue=False), "rejected", [b"next"]),
    "reject": (lambda message: message.reject(), "rejected", [b"next"]),
    "reject and requeue": (lambda message: message.reject(requeue=True), "rejected", [b"it", b"next"]),
}


@pytest.mark.parametrize("ack", ["auto", "manual"])
@pytest.mark.parametrize("said", SAID, ids=SAID)
async def test_what_the_callback_says_is_done_once_and_at_once(
    vhost: str, rabbitmq: RabbitMQ, ack: Literal["auto", "manual"], said: str
) -> None:
    say, counted, seen_again = SAID[said]
    inbox, first = messages(), True

    async def callback(message: IncomingMessage) -> None:
        nonlocal first
        if first:
            first = False
            awaitable = say(message)
            assert message.processed
            assert await awaitable is None
        else:
            await message.ack()
            inbox(message)

    async with connector(vhost) as amq:
        subscription = await amq.subscribe_data("reader", {}, callback, ack=ack)
        await amq.publish_data(b"it", {})
        await amq.publish_data(b"next", {})
        came = await inbox.came(len(seen_again))
        assert sorted(message.body for message in came) == seen_again
        assert [message.body for message in came if message.redelivered] == seen_again[:-1]
        assert await settled(rabbitmq, vhost) == 0
        assert subscription.stats()[counted] >= 1


async def test_manual_messages_stay_open_until_somebody_says_something(vhost: str, rabbitmq: RabbitMQ) -> None:
    inbox = messages()
    async with connector(vhost) as amq:
        subscription = await amq.subscribe_data("reader", {}, inbox, ack="manual")
        for number in range(5):
            await amq.publish_data(b"%d" % number, {})
        came = await inbox.came(5)
        await open_ones(rabbitmq, vhost, 5)
        assert subscription.stats()["open"] == 5
        # From a thread, in any order.
        for message in reversed(came):
            await asyncio.to_thread(message.ack)
        assert await settled(rabbitmq, vhost) == 0
        assert subscription.stats()["acknowledged"] == 5


async def test_a_message_that_is_forgotten_by_its_callback_comes_again(vhost: str) -> None:
    inbox = bodies()

    def forgets_the_first(message: IncomingMessage) -> None:
        inbox(message)
        if message.redelivered:
            message.ack()

    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, forgets_the_first, ack="manual")
        await amq.publish_data(b"it", {})
        assert await inbox.came(2) == [b"it", b"it"]


async def test_ack_none_leaves_nothing_to_say(vhost: str, rabbitmq: RabbitMQ) -> None:
    inbox, raised = messages(), []

    async def callback(message: IncomingMessage) -> None:
        assert message.processed
        with pytest.raises(MessageSettled) as caught:
            message.ack()
        raised.append(caught.value)
        inbox(message)

    async with connector(vhost) as amq:
        subscription = await amq.subscribe_data("reader", {}, callback, ack="none")
        await amq.publish_data(b"it", {})
        await inbox.came()
        assert await settled(rabbitmq, vhost) == 0
        assert subscription.stats() == {"received": 1, "acknowledged": 0, "rejected": 0, "filtered": 0, "open": 0}
    assert isinstance(raised[0], ConfigurationError)


async def test_a_cancelled_subscription_takes_nothing_and_its_open_messages_can_be_acknowledged(
    vhost: str, rabbitmq: RabbitMQ
) -> None:
    inbox, other = messages(), bodies()
    async with connector(vhost) as amq:
        subscription = await amq.subscribe_data("reader", {}, inbox, ack="manual")
        assert subscription.name == "reader"
        await amq.publish_data(b"open", {})
        [message] = await inbox.came()
        # Its group goes on, so that the queue stays.
        await amq.subscribe_data("reader", {}, other)
        await subscription.cancel()
        for number in range(4):
            await amq.publish_data(b"%d" % number, {})
        assert await other.came(4) == [b"0", b"1", b"2", b"3"]
        await open_ones(rabbitmq, vhost, 1)
        message.ack()
        assert await settled(rabbitmq, vhost) == 0
        assert len(inbox.items) == 1
        assert subscription.stats()["acknowledged"] == 1
        assert "reader" in repr(subscription)
        await subscription.cancel()


async def test_a_subscription_that_nobody_holds_goes_on(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        amq.subscribe_data("reader", {}, inbox)
        while not inbox.items:
            await amq.publish_data(b"it", {})
            await asyncio.sleep(0)
        assert inbox.items[0] == b"it"


async def test_open_messages_go_back_when_the_connector_closes(vhost: str) -> None:
    inbox, again = messages(), messages()
    async with connector(vhost, "two") as two:
        async with connector(vhost, "one") as one:
            await one.subscribe_data("reader", {}, inbox, ack="manual")
            await one.publish_data(b"it", {})
            [first] = await inbox.came()
            await two.subscribe_data("reader", {}, again)
        [message] = await again.came()
        assert (message.body, message.redelivered) == (b"it", True)
        first.ack()  # too late, and harmless
