"""In which order messages come, how many at once, and what publishing promises."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC
from typing import Any

import pytest
from harness import RabbitMQ
from ironbridge.fabric import ConfigurationError, IncomingMessage, Overloaded, PayloadError

from fabric.inbox import bodies, connector, messages


async def test_a_plain_callback_sees_one_message_after_another_in_order(vhost: str) -> None:
    inbox, at_work, most = bodies(), 0, 0

    def callback(message: IncomingMessage) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0)  # lets other threads in
        inbox(message)
        at_work -= 1

    async with connector(vhost, workers=8) as amq:
        await amq.subscribe_data("reader", {}, callback)
        numbers = [b"%d" % number for number in range(2_000)]
        await asyncio.gather(*(amq.publish_data(number, {}) for number in numbers))
        assert await inbox.came(len(numbers)) == numbers
        assert most == 1


async def test_plain_callbacks_of_two_subscribers_do_not_wait_for_each_other(vhost: str) -> None:
    other_ran = threading.Event()

    def waits(message: IncomingMessage) -> None:
        assert other_ran.wait(20)

    async with connector(vhost, workers=2) as amq:
        waiting = await amq.subscribe_data("one", {}, waits)
        await amq.publish_data(b"", {})
        await amq.subscribe_data("two", {"for": "two"}, lambda message: other_ran.set())
        await amq.publish_data(b"", {"for": "two"})
        assert await asyncio.to_thread(other_ran.wait, 20)
        assert waiting.stats()["received"] >= 1


async def test_async_callbacks_begin_in_order_and_run_at_once(vhost: str) -> None:
    began, all_began = bodies(), asyncio.Event()

    async def callback(message: IncomingMessage) -> None:
        began(message)
        if len(began.items) == 100:
            all_began.set()
        await all_began.wait()

    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, callback)
        numbers = [b"%d" % number for number in range(100)]
        for number in numbers:
            amq.publish_data(number, {})
        assert await began.came(100) == numbers


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
async def test_no_more_messages_are_open_than_prefetch_says(vhost: str, rabbitmq: RabbitMQ, is_async: bool) -> None:
    began, may_end = bodies(), threading.Event()

    async def coroutine(message: IncomingMessage) -> None:
        began(message)
        await asyncio.to_thread(may_end.wait, 20)

    def plain(message: IncomingMessage) -> None:
        began(message)
        may_end.wait(20)

    async with connector(vhost) as amq:
        callback: Any = coroutine if is_async else plain
        subscription = await amq.subscribe_data("reader", {}, callback, prefetch=3)
        await asyncio.gather(*(amq.publish_data(b"%d" % number, {}) for number in range(10)))
        await began.came(3 if is_async else 1)
        queue = rabbitmq.queues(vhost.rpartition("/")[2])["shop.data.reader"]
        assert (queue["messages_ready"], queue["messages_unacknowledged"]) == (7, 3)
        assert subscription.stats()["open"] == 3
        assert len(began.items) == (3 if is_async else 1)
        may_end.set()
        await began.came(10)


async def test_an_option_says_how_many_where_a_subscription_does_not(vhost: str, rabbitmq: RabbitMQ) -> None:
    inbox = messages()
    async with connector(vhost, options={"subscription_prefetch": 2}) as amq:
        await amq.subscribe_data("reader", {}, inbox, ack="manual")
        await asyncio.gather(*(amq.publish_data(b"%d" % number, {}) for number in range(5)))
        await inbox.came(2)
        queue = rabbitmq.queues(vhost.rpartition("/")[2])["shop.data.reader"]
        assert (queue["messages_ready"], queue["messages_unacknowledged"]) == (3, 2)


async def test_a_slow_callback_holds_up_no_other_of_its_group(vhost: str) -> None:
    blocked, quick, may_end = threading.Event(), bodies(), threading.Event()

    def slow(message: IncomingMessage) -> None:
        blocked.set()
        may_end.wait(20)

    async with connector(vhost, "one") as one, connector(vhost, "two") as two:
        await one.subscribe_data("group", {}, slow, prefetch=1)
        await one.publish_data(b"slow", {})
        assert await asyncio.to_thread(blocked.wait, 20)
        await two.subscribe_data("group", {}, quick)
        for number in range(5):
            await one.publish_data(b"%d" % number, {})
        assert await quick.came(5) == [b"0", b"1", b"2", b"3", b"4"]
        may_end.set()


async def test_a_message_says_all_that_its_publisher_said(vhost: str) -> None:
    inbox = messages()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, inbox)
        before = int(time.time())
        await amq.publish_data(b'{"x": [1]}', {"n": 1}, message_id="sale-17", expiration=30)
        await amq.publish_data(b"", {})
        full, bare = await inbox.came(2)
        assert (full.message_id, full.expiration, full.exchange, full.routing_key) == ("sale-17", 30.0, "shop.data", "")
        assert full.json() == {"x": [1]}
        assert full.timestamp is not None and full.timestamp.tzinfo is UTC
        assert before <= full.timestamp.timestamp() <= time.time()
        assert (full.redelivered, full.delivery_count, full.offset, full.correlation_id) == (False, None, None, None)
        assert (bare.body, bare.expiration) == (b"", None)
        assert len(bare.message_id or "") == 32
        assert "sale-17" in repr(full)
        with pytest.raises(PayloadError):
            bare.json()


async def test_data_may_be_any_bytes(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, inbox)
        whole = bytearray(range(256))
        given: list[Any] = [b"", bytes(whole), whole, memoryview(whole), memoryview(whole)[::2], b"x" * 1_000_000]
        for data in given:
            await amq.publish_data(data, {})
        assert await inbox.came(len(given)) == [bytes(data) for data in given]


async def test_what_was_published_is_not_changed_by_changing_its_buffer(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, inbox)
        data = bytearray(b"before")
        publishing = amq.publish_data(data, {})
        data[:] = b"after!"
        await publishing
        assert await inbox.came() == [b"before"]


async def test_wrong_arguments_are_refused_at_once(vhost: str) -> None:
    wrong: Any
    async with connector(vhost, options={"max_message": 2_000}) as amq:
        for wrong in ("text", None, 3, ["x"]):
            with pytest.raises(ConfigurationError, match="data is bytes"):
                amq.publish_data(wrong, {})
        for wrong in (None, 3, [1], "text"):
            with pytest.raises(ConfigurationError, match="headers"):
                amq.publish_data(b"", wrong)
            with pytest.raises(ConfigurationError, match="headers"):
                amq.subscribe_data("reader", wrong, bodies())
        for wrong in (-1, float("nan"), float("inf"), "30", True):
            with pytest.raises(ConfigurationError, match="expiration"):
                amq.publish_data(b"", {}, expiration=wrong)
        for wrong in ("", "x" * 256, 3):
            with pytest.raises(ConfigurationError, match="message_id"):
                amq.publish_data(b"", {}, message_id=wrong)
        with pytest.raises(PayloadError, match=r"2001 bytes.*2000 \(max_message\)"):
            amq.publish_data(b"x" * 2_001, {})
        await amq.publish_data(b"x" * 2_000, {})


async def test_an_outbox_that_is_full_refuses_and_what_it_took_is_sent_in_order(own_rabbitmq: RabbitMQ) -> None:
    inbox = bodies()
    async with connector(own_rabbitmq.uri(), options={"outbox_messages": 10}, on_error=None) as amq:
        await amq.subscribe_data("reader", {}, inbox)
        own_rabbitmq.block()
        try:
            waiting = [amq.publish_data(b"%d" % number, {}) for number in range(10)]
            with pytest.raises(Overloaded, match="outbox_messages"):
                amq.publish_data(b"one too many", {})
            assert amq.stats()["data_waiting"] == 10
        finally:
            own_rabbitmq.unblock()
        await asyncio.gather(*waiting)
        assert await inbox.came(10) == [b"%d" % number for number in range(10)]
        await amq.publish_data(b"goes on", {})
