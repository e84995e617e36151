"""Streams of data in a program without an event loop: everything waits, and gives its value."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from harness import RabbitMQ, wait_until
from ironbridge.fabric import (
    AmqBrokerConnector,
    ConfigurationError,
    IncomingMessage,
    MessageSettled,
    ServiceUnavailable,
    Subscription,
)

from fabric.inbox import Troubles, bodies, connector, messages


@pytest.fixture
def amq(vhost: str) -> Iterator[AmqBrokerConnector]:
    with connector(vhost) as amq:
        yield amq


def test_publishing_waits_for_the_broker_and_subscribing_until_messages_come(amq: AmqBrokerConnector) -> None:
    plain, coroutine, threads = bodies(), bodies(), set()

    async def callback(message: IncomingMessage) -> None:
        await asyncio.sleep(0)
        threads.add(threading.current_thread())
        coroutine(message)

    subscriptions = [amq.subscribe_data("one", {}, plain), amq.subscribe_data("two", {}, callback)]
    assert all(isinstance(subscription, Subscription) for subscription in subscriptions)
    for number in range(20):
        amq.publish_data(b"%d" % number, {})
        assert amq.stats()["data_confirmed"] == number + 1
    expected = [b"%d" % number for number in range(20)]
    assert plain.wait(20) == expected
    assert coroutine.wait(20) == expected
    assert threading.main_thread() not in threads
    assert len(threads) == 1


def test_what_fails_raises_where_it_was_called(amq: AmqBrokerConnector, vhost: str) -> None:
    with pytest.raises(ServiceUnavailable, match="nobody subscribes"):
        amq.publish_data(b"", {"kind": "a"}, mandatory=True)
    amq.subscribe_data("reader", {}, bodies())
    with pytest.raises(ConfigurationError, match="other properties"):
        amq.subscribe_data("reader", {}, bodies(), durable=True)
    with pytest.raises(ConfigurationError, match="missing"):
        amq.subscribe_data("reader", {}, bodies(), stream="missing")


def test_messages_are_settled_from_the_main_thread(amq: AmqBrokerConnector) -> None:
    inbox = messages()
    subscription = amq.subscribe_data("reader", {}, inbox, ack="manual")
    for number in range(4):
        amq.publish_data(b"%d" % number, {})
    first, second, third, fourth = inbox.wait(4)
    first.ack()
    with second.process():
        pass
    with pytest.raises(ZeroDivisionError), third.process():
        raise ZeroDivisionError
    fourth.nack()
    again = inbox.wait(5)[-1]
    assert (again.body, again.redelivered) == (b"3", True)
    again.ack()
    with pytest.raises(MessageSettled):
        again.ack()
    settled = {"received": 5, "acknowledged": 3, "rejected": 2, "filtered": 0, "open": 0}
    wait_until(lambda: subscription.stats() == settled)
    subscription.cancel()


def test_a_callback_that_raises_is_told_on_a_thread_of_the_connector(vhost: str) -> None:
    troubles, threads = Troubles(), []

    def told(error: BaseException, place: str) -> None:
        threads.append(threading.current_thread())
        troubles(error, place)

    def fails(message: IncomingMessage) -> None:
        raise ZeroDivisionError("this very one")

    with connector(vhost, on_error=told) as amq:
        amq.subscribe_data("reader", {}, fails)
        amq.publish_data(b"", {})
        [(error, _)] = troubles.wait()
        assert isinstance(error, ZeroDivisionError)
    assert threads[0] is not threading.main_thread()


def test_a_stream_is_kept_and_read(amq: AmqBrokerConnector) -> None:
    inbox = messages()
    amq.retain_data("sales", {"kind": "sale"})
    amq.publish_data(b"one", {"kind": "sale"})
    amq.subscribe_data("reader", {}, inbox, stream="sales", replay="first")
    amq.publish_data(b"two", {"kind": "sale"})
    assert [(message.body, message.offset) for message in inbox.wait(2)] == [(b"one", 0), (b"two", 1)]


def test_callbacks_may_publish_and_subscribe_themselves(amq: AmqBrokerConnector) -> None:
    last = bodies()

    def plain(message: IncomingMessage) -> None:
        amq.publish_data(b"plain " + message.body, {"step": 2})

    async def coroutine(message: IncomingMessage) -> None:
        await amq.publish_data(b"async " + message.body, {"step": 3})
        await amq.subscribe_data("late", {"step": 4}, last)
        await amq.publish_data(b"the end", {"step": 4})

    amq.subscribe_data("one", {"step": 1}, plain)
    amq.subscribe_data("two", {"step": 2}, coroutine)
    amq.subscribe_data("three", {"step": 3}, last)
    amq.publish_data(b"begins", {"step": 1})
    assert sorted(last.wait(2)) == [b"async plain begins", b"the end"]


def test_closing_lets_callbacks_that_run_come_to_their_end(vhost: str, rabbitmq: RabbitMQ) -> None:
    began, ended = threading.Event(), bodies()

    async def callback(message: IncomingMessage) -> None:
        began.set()
        await asyncio.sleep(0.05)
        ended(message)

    with connector(vhost, "publisher") as publisher:
        with connector(vhost, "reader") as reader:
            reader.subscribe_data("archive", {}, callback, durable=True)
            publisher.publish_data(b"it", {})
            assert began.wait(20)
        assert ended.items == [b"it"]


def test_many_threads_publish_at_once(amq: AmqBrokerConnector) -> None:
    inbox = messages()
    amq.subscribe_data("reader", {}, inbox)

    def publish(thread: int) -> None:
        for number in range(50):
            amq.publish_data(b"%d" % number, {"thread": thread})

    threads = [threading.Thread(target=publish, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    came = inbox.wait(300)
    for thread in threads:
        thread.join()
    for number in range(6):
        its = [message.body for message in came if message.headers["thread"] == number]
        assert its == [b"%d" % count for count in range(50)]
