"""Streams: data that the broker keeps, to be read again from any place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from harness import RabbitMQ, Relay, wait_until
from ironbridge.fabric import AmqBrokerConnector, ConfigurationError, IncomingMessage

from fabric.inbox import Troubles, bodies, connector, messages


@pytest.fixture
async def amq(vhost: str) -> AsyncIterator[AmqBrokerConnector]:
    async with connector(vhost) as amq:
        yield amq


async def kept(amq: AmqBrokerConnector, *data: bytes, **headers: Any) -> None:
    """A stream `sales`, with data in it."""
    await amq.retain_data("sales", {"kind": "sale"})
    for body in data:
        await amq.publish_data(body, {"kind": "sale", **headers})


async def test_a_stream_keeps_what_matches_and_nothing_else(amq: AmqBrokerConnector) -> None:
    inbox = messages()
    await kept(amq, b"one")
    await amq.publish_data(b"not a sale", {"kind": "visit"})
    await amq.publish_data(b"two", {"kind": "sale"})
    await amq.subscribe_data("reader", {}, inbox, stream="sales", replay="first")
    came = await inbox.came(2)
    assert [(message.body, message.offset) for message in came] == [(b"one", 0), (b"two", 1)]
    assert came[0].headers["kind"] == "sale"
    await amq.publish_data(b"three", {"kind": "sale"})
    assert (await inbox.came(3))[2].body == b"three"


@pytest.mark.parametrize(
    ("replay", "expected"),
    [("first", [b"0", b"1", b"2"]), (0, [b"0", b"1", b"2"]), (2, [b"2"]), ("next", []), (None, [])],
    ids=str,
)
async def test_a_reader_begins_where_it_likes(amq: AmqBrokerConnector, replay: Any, expected: list[bytes]) -> None:
    inbox = bodies()
    await kept(amq, b"0", b"1", b"2")
    await amq.subscribe_data("reader", {}, inbox, stream="sales", replay=replay)
    await amq.publish_data(b"new", {"kind": "sale"})
    assert await inbox.came(len(expected) + 1) == [*expected, b"new"]


async def test_a_reader_may_begin_with_the_last_that_was_kept(amq: AmqBrokerConnector) -> None:
    """Of the last chunk that the broker wrote, which holds what came together."""
    inbox = bodies()
    await kept(amq, b"0", b"1", b"2")
    await amq.subscribe_data("reader", {}, inbox, stream="sales", replay="last")
    assert (await inbox.came())[-1] == b"2"


@pytest.mark.parametrize("how", ["aware", "naive", "ago"])
async def test_a_reader_may_begin_at_a_time(amq: AmqBrokerConnector, how: str) -> None:
    """The broker counts in seconds, and by what came together."""
    inbox = bodies()
    await kept(amq, b"before")
    start = int(time.time())
    await asyncio.to_thread(wait_for_second, start + 2)
    await amq.publish_data(b"after", {"kind": "sale"})
    when = datetime.fromtimestamp(start + 1, UTC)
    replay: Any = {"aware": when, "naive": when.astimezone().replace(tzinfo=None), "ago": datetime.now(UTC) - when}[how]
    await amq.subscribe_data("reader", {}, inbox, stream="sales", replay=replay)
    assert await inbox.came() == [b"after"]


def wait_for_second(second: int) -> None:
    while time.time() < second:
        time.sleep(max(0.0, second - time.time()))


async def test_a_time_before_the_first_is_the_beginning(amq: AmqBrokerConnector) -> None:
    inbox = bodies()
    await kept(amq, b"0", b"1")
    await amq.subscribe_data("reader", {}, inbox, stream="sales", replay=timedelta(days=1))
    assert await inbox.came(2) == [b"0", b"1"]


async def test_each_reader_reads_all_by_headers_of_its_own(amq: AmqBrokerConnector) -> None:
    everything, red, any_of = bodies(), bodies(), bodies()
    await amq.retain_data("things", {"kind": "sale", "urgent": True}, match="any")
    for body, headers in (
        (b"red sale", {"kind": "sale", "colour": "red", "n": 1}),
        (b"urgent visit", {"kind": "visit", "urgent": True, "n": 2.0}),
        (b"visit", {"kind": "visit"}),
        (b"blue sale", {"kind": "sale", "colour": "blue", "n": None}),
    ):
        await amq.publish_data(body, headers)
    await amq.subscribe_data("one", {}, everything, stream="things", replay="first")
    subscription = await amq.subscribe_data("two", {"colour": "red"}, red, stream="things", replay="first")
    await amq.subscribe_data("two", {"n": 2, "colour": "blue"}, any_of, match="any", stream="things", replay="first")
    await amq.publish_data(b"end", {"kind": "sale", "colour": "red", "n": 2})
    assert await everything.came(4) == [b"red sale", b"urgent visit", b"blue sale", b"end"]
    assert await red.came(2) == [b"red sale", b"end"]
    assert await any_of.came(3) == [b"urgent visit", b"blue sale", b"end"]
    assert (subscription.stats()["received"], subscription.stats()["filtered"]) == (2, 2)


async def test_a_reader_of_more_than_it_takes_at_once_reads_to_the_end(amq: AmqBrokerConnector) -> None:
    """A stream sends no more than `prefetch` messages until some are acknowledged: those that are passed over, too."""
    inbox = bodies()
    await kept(amq)
    await asyncio.gather(*(amq.publish_data(b"%d" % n, {"kind": "sale", "odd": n % 2 == 1}) for n in range(500)))
    await amq.subscribe_data("reader", {"odd": True}, inbox, stream="sales", replay="first", prefetch=7)
    assert await inbox.came(250) == [b"%d" % number for number in range(1, 500, 2)]


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_a_callback_that_raises_does_not_stop_the_stream(vhost: str, is_async: bool) -> None:
    troubles, inbox = Troubles(), bodies()

    def plain(message: IncomingMessage) -> None:
        inbox(message)
        raise ValueError(message.body.decode())

    async def coroutine(message: IncomingMessage) -> None:
        plain(message)

    async with connector(vhost, on_error=troubles) as amq:
        await kept(amq, *(b"%d" % number for number in range(20)))
        callback: Any = coroutine if is_async else plain
        await amq.subscribe_data("reader", {}, callback, stream="sales", replay="first", prefetch=2)
        assert await inbox.came(20) == [b"%d" % number for number in range(20)]
        assert [str(error) for error, _ in await troubles.came(20)] == [str(number) for number in range(20)]


async def test_a_reader_that_acknowledges_by_hand_gets_more_as_it_does(amq: AmqBrokerConnector) -> None:
    inbox = messages()
    await kept(amq, *(b"%d" % number for number in range(9)))
    await amq.subscribe_data("reader", {}, inbox, stream="sales", replay="first", prefetch=3, ack="manual")
    for already in (0, 3, 6):
        for message in (await inbox.came(already + 3))[already:]:
            message.ack()
    assert [message.body for message in await inbox.came(9)] == [b"%d" % number for number in range(9)]


async def test_after_a_lost_connection_a_stream_goes_on_behind_the_last_that_was_seen(
    vhost: str, rabbitmq: RabbitMQ
) -> None:
    inbox = messages()
    relay = Relay(rabbitmq.address)
    with relay:
        through = rabbitmq.uri(vhost=vhost.rpartition("/")[2], at=relay.address)
        async with connector(vhost, "publisher") as publisher, connector(through, "reader") as reader:
            await kept(publisher, *(b"%d" % number for number in range(10)))
            await reader.subscribe_data("reader", {}, inbox, stream="sales", replay=3)
            await inbox.came(7)
            relay.cut()
            for number in range(10, 15):
                await publisher.publish_data(b"%d" % number, {"kind": "sale"})
            assert [message.offset for message in await inbox.came(12)] == list(range(3, 15))


async def test_a_stream_outlives_the_broker_and_its_readers_go_on(own_rabbitmq: RabbitMQ) -> None:
    inbox = messages()
    async with connector(own_rabbitmq.uri(), on_error=None) as amq:
        await kept(amq, b"0", b"1", b"2")
        await amq.subscribe_data("reader", {}, inbox, stream="sales", replay="first")
        await inbox.came(3)
        await asyncio.to_thread(own_rabbitmq.restart)
        # RabbitMQ 3.10 confirms what it gets for a stream that has not started yet, and loses it.
        await asyncio.to_thread(wait_until, lambda: own_rabbitmq.queues().get("sales", {}).get("consumers") == 1, 20)
        await amq.publish_data(b"3", {"kind": "sale"})
        assert [message.offset for message in await inbox.came(4)] == [0, 1, 2, 3]


async def test_a_stream_can_be_declared_again_as_it_is_and_not_otherwise(
    amq: AmqBrokerConnector, vhost: str, rabbitmq: RabbitMQ
) -> None:
    for _ in range(2):
        await amq.retain_data("sales", {"kind": "sale"}, max_age=timedelta(hours=1), max_bytes=50_000_000)
    arguments = rabbitmq.queues(vhost.rpartition("/")[2])["sales"]["arguments"]
    assert arguments == {"x-queue-type": "stream", "x-max-age": "3600s", "x-max-length-bytes": 50_000_000}
    with pytest.raises(ConfigurationError, match=r"sales.*other properties"):
        await amq.retain_data("sales", {"kind": "sale"}, max_age=60)


async def test_a_stream_that_is_not_there_cannot_be_read(amq: AmqBrokerConnector) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        async with asyncio.timeout(10):
            await amq.subscribe_data("reader", {}, bodies(), stream="missing")


async def test_wrong_arguments_are_refused_at_once(amq: AmqBrokerConnector) -> None:
    wrong: Any
    for wrong in (0, -1, "1h", True, float("nan")):
        with pytest.raises(ConfigurationError, match="max_age"):
            amq.retain_data("sales", {}, max_age=wrong)
        with pytest.raises(ConfigurationError, match="max_bytes"):
            amq.retain_data("sales", {}, max_bytes=wrong)
    for wrong in (None, 3, "", "x" * 256):
        with pytest.raises(ConfigurationError, match="stream"):
            amq.retain_data(wrong, {})
    for wrong in ("some", None):
        with pytest.raises(ConfigurationError, match="match"):
            amq.retain_data("sales", {}, match=wrong)
    for wrong in (1.5, True, -3, timedelta(days=-1), datetime(1960, 1, 1), [1]):
        with pytest.raises(ConfigurationError, match="replay"):
            amq.subscribe_data("reader", {}, bodies(), stream="sales", replay=wrong)
