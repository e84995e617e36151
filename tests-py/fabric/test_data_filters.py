"""Who gets which data: by headers, by group, and by domain."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from harness import RabbitMQ, wait_until
from ironbridge.fabric import AbstractServiceApi, AmqpHandler, PayloadError, ServiceUnavailable

from fabric.inbox import bodies, connector, messages

SCALARS: list[Any] = [
    "text",
    "ü\u4e2d",
    "",
    True,
    False,
    0,
    -1,
    200,
    -40_000,
    70_000,
    2**31,
    2**40,
    -(2**63),
    1.5,
    0.1,
    Decimal("1.25"),
    datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
]
OTHERS: list[Any] = [None, [1, "two", [3.5]], {"deep": {"er": True}}, bytearray(b"\x00\xff"), b"\x00\xff"]


async def test_all_headers_must_match_or_any_is_enough(vhost: str) -> None:
    everything, all_of, any_of = bodies(), bodies(), bodies()
    async with connector(vhost) as amq:
        wanted = {"colour": "red", "size": 1}
        await amq.subscribe_data("everything", {}, everything)
        await amq.subscribe_data("all", wanted, all_of)
        await amq.subscribe_data("any", wanted, any_of, match="any")
        for body, headers in (
            (b"both", {"colour": "red", "size": 1, "more": True}),
            (b"one", {"colour": "red", "size": 2}),
            (b"lacks", {"size": 1}),
            (b"none", {"colour": "blue"}),
            (b"bare", {}),
            (b"end", {"colour": "red", "size": 1}),
        ):
            await amq.publish_data(body, headers)
        assert await everything.came(6) == [b"both", b"one", b"lacks", b"none", b"bare", b"end"]
        assert await all_of.came(2) == [b"both", b"end"]
        assert await any_of.came(4) == [b"both", b"one", b"lacks", b"end"]


async def test_a_header_may_say_how_to_match_as_programs_of_other_make_do(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {"x-match": "any", "colour": "red", "size": 1}, inbox)
        await amq.publish_data(b"one", {"colour": "red", "size": 2})
        await amq.publish_data(b"none", {"colour": "blue"})
        await amq.publish_data(b"both", {"colour": "red", "size": 1})
        assert await inbox.came(2) == [b"one", b"both"]


async def test_who_published_is_a_header_that_can_be_matched(vhost: str) -> None:
    of_one = messages()
    async with connector(vhost, "one") as one, connector(vhost, "two") as two:
        await one.subscribe_data("reader", {"service_id": "two", "service_type": "till"}, of_one)
        headers = {"n": 1}
        await one.publish_data(b"from one", headers)
        await two.publish_data(b"from two", headers)
        [message] = await of_one.came()
        assert message.body == b"from two"
        assert message.headers == {"n": 1, "service_id": "two", "service_type": "till"}
        assert headers == {"n": 1}, "the publisher's own dict stays as it was"


async def test_a_header_of_any_scalar_type_matches_itself_alone_and_arrives_as_it_was(vhost: str) -> None:
    inboxes = [messages() for _ in SCALARS]
    async with connector(vhost) as amq:
        for number, (value, inbox) in enumerate(zip(SCALARS, inboxes, strict=True)):
            await amq.subscribe_data(f"reader-{number}", {"value": value}, inbox)
        for value in SCALARS:
            await amq.publish_data(repr(value).encode(), {"value": value})
        await amq.publish_data(b"end", {"value": SCALARS[0]})
        await inboxes[0].came(2)
        for value, inbox in zip(SCALARS, inboxes, strict=True):
            message = (await inbox.came())[0]
            assert message.body == repr(value).encode()
            arrived = message.headers["value"]
            assert type(arrived) is type(value)
            # A header's float is a single one, as the originals send it.
            assert arrived == (pytest.approx(value) if isinstance(value, float) else value)
        assert [len(inbox.items) for inbox in inboxes] == [2, *[1] * (len(SCALARS) - 1)]


async def test_headers_of_the_other_types_arrive_as_they_were(vhost: str) -> None:
    inbox = messages()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, inbox)
        for value in OTHERS:
            await amq.publish_data(b"", {"value": value})
        assert [message.headers["value"] for message in await inbox.came(len(OTHERS))] == OTHERS


async def test_numbers_match_whatever_their_size_and_a_bool_is_no_number(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {"n": 1}, inbox)
        await amq.publish_data(b"true", {"n": True})
        await amq.publish_data(b"text", {"n": "1"})
        await amq.publish_data(b"float", {"n": 1.0})
        await amq.publish_data(b"int", {"n": 1})
        assert await inbox.came(2) == [b"float", b"int"]


@pytest.mark.parametrize("value", [object(), 2**63, {1: 2}, {1, 2}, [[object()]], "\ud800"])
async def test_a_header_that_cannot_be_sent_is_refused_at_once_and_named(vhost: str, value: Any) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        with pytest.raises(PayloadError, match=r"headers\['bad'\]"):
            amq.publish_data(b"", {"good": 1, "bad": value})
        with pytest.raises(PayloadError, match=r"headers\['bad'\]"):
            amq.subscribe_data("reader", {"bad": value}, inbox)
        await amq.subscribe_data("reader", {}, inbox)
        await amq.publish_data(b"goes on", {})
        assert await inbox.came() == [b"goes on"]


async def test_subscribers_of_one_name_share_and_those_of_others_get_all(vhost: str) -> None:
    shares, own = [bodies(), bodies()], bodies()
    async with connector(vhost, "one") as one, connector(vhost, "two") as two, connector(vhost, "three") as three:
        for amq, share in zip((one, two), shares, strict=True):
            await amq.subscribe_data("group", {}, share)
        await three.subscribe_data("alone", {}, own)
        for number in range(40):
            one.publish_data(b"%d" % number, {})
        assert await own.came(40) == [b"%d" % number for number in range(40)]
        await shares[0].came(20)
        await shares[1].came(20)
        assert sorted(shares[0].items + shares[1].items) == sorted(own.items)


async def test_a_second_subscription_of_one_name_adds_to_what_the_group_is_sent(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        await amq.subscribe_data("group", {"kind": "a"}, inbox)
        await amq.subscribe_data("group", {"kind": "b"}, inbox)
        for kind in ("a", "b", "c", "a"):
            await amq.publish_data(kind.encode(), {"kind": kind})
        assert sorted(await inbox.came(3)) == [b"a", b"a", b"b"]


async def test_a_subscriber_may_listen_to_another_domain(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost, domain="shop") as shop, connector(vhost, domain="bank") as bank:
        await shop.subscribe_data("reader", {}, inbox, domain="bank")
        await shop.publish_data(b"of the shop", {})
        await bank.publish_data(b"of the bank", {})
        assert await inbox.came() == [b"of the bank"]


class Echo(AbstractServiceApi):
    def __init__(self, said: str) -> None:
        self.said = said

    async def say(self) -> str:
        return self.said


async def test_domains_at_one_broker_never_meet(vhost: str) -> None:
    """The same types, ids and subscriber names in both: data, log records, lists and calls stay in their domain."""
    data = {name: bodies() for name in ("shop", "bank")}
    logs = {name: bodies() for name in ("shop", "bank")}
    async with (
        connector(vhost, domain="shop", keep_alive_seconds=0.2) as shop,
        connector(vhost, domain="bank", keep_alive_seconds=0.2) as bank,
    ):
        both = {"shop": shop, "bank": bank}
        for name, amq in both.items():
            await amq.rpc_register(Echo(name))
            await amq.subscribe_data("reader", {}, data[name])
            await amq.follow_logs(logs[name])
            handler = AmqpHandler()
            await amq.init_logging_handler(handler)
            handler.handle(logging.makeLogRecord({"msg": name}))
            for number in range(10):
                await amq.publish_data(b"%s %d" % (name.encode(), number), {})
        for name, amq in both.items():
            assert await data[name].came(10) == [b"%s %d" % (name.encode(), number) for number in range(10)]
            assert await logs[name].came() == [b'"%s"' % name.encode()]
            await asyncio.to_thread(wait_until, lambda amq=amq: len(amq.list_services("*")) == 2)
            assert [one["domain"] for one in amq.list_services("*")] == ["bank", "shop"]
            assert amq.list_services() == [{"domain": name, "type": "till", "id": "one"}]
            proxy = await amq.rpc_proxy(name, "one", "till")
            assert await proxy.say() == name


async def test_what_a_group_of_the_broker_is_called_tells_the_domain(vhost: str, rabbitmq: RabbitMQ) -> None:
    name = vhost.rpartition("/")[2]
    async with connector(vhost, domain="shop") as shop, connector(vhost, domain="bank") as bank:
        await shop.subscribe_data("reader", {}, bodies())
        await bank.subscribe_data("reader", {}, bodies())
        await bank.subscribe_data("reader", {}, bodies(), queue="as the originals call it")
        queues = {queue for queue in rabbitmq.queues(name) if "reader" in queue or "originals" in queue}
        assert queues == {"shop.data.reader", "bank.data.reader", "as the originals call it"}


async def test_mandatory_data_that_nobody_takes_fails_at_its_publisher(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {"kind": "a"}, inbox)
        await amq.publish_data(b"nobody's, and nobody minds", {"kind": "b"})
        with pytest.raises(ServiceUnavailable) as caught:
            await amq.publish_data(b"nobody's", {"kind": "b"}, mandatory=True)
        assert caught.value.fate == "rejected"
        await amq.publish_data(b"somebody's", {"kind": "a"}, mandatory=True)
        assert await inbox.came() == [b"somebody's"]
