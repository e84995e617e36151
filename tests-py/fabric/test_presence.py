"""Who is there: services say so by keep-alives, and everyone can list them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from harness import RabbitMQ, lenient, wait_until
from ironbridge.fabric import AbstractServiceApi, AmqBrokerConnector, ConfigurationError

from fabric.inbox import Inbox, Troubles, connector

Says = Inbox[dict[str, Any]]


def headers() -> Says:
    return Inbox(dict)


def ids(amq: AmqBrokerConnector, **wanted: Any) -> list[str]:
    return [str(service["id"]) for service in amq.list_services(**wanted)]


async def lists(amq: AmqBrokerConnector, *expected: str, **wanted: Any) -> None:
    """Waits until exactly these are listed."""
    await asyncio.to_thread(wait_until, lambda: ids(amq, **wanted) == list(expected), 20, f"{expected} are listed")


@asynccontextmanager
async def of_other_make(uri: str, exchange: str = "msc.discovery") -> AsyncIterator[Any]:
    """Says keep-alives as the originals do, and whatever else it is told to."""
    async with await aio_pika.connect(uri) as connection:
        channel = await connection.channel()
        discovery = await channel.declare_exchange(exchange, aio_pika.ExchangeType.HEADERS, durable=True)

        async def say(name: str, **changed: Any) -> None:
            told: dict[str, Any] = {"msg_type": "keep_alive", "service_domain": "shop", "service_type": "till"}
            told.update(service_id=name)
            told.update(changed)
            given = {name: value for name, value in told.items() if value != "left out"}
            await discovery.publish(aio_pika.Message(b"", headers=given), "")

        yield say


async def test_services_of_the_domain_are_listed_the_own_too(vhost: str) -> None:
    async with (
        connector(vhost, "one", keep_alive_seconds=0.2) as one,
        connector(vhost, "two", kind="scale", keep_alive_seconds=0.2) as two,
        connector(vhost, "three", domain="bank", keep_alive_seconds=0.2) as three,
    ):
        await lists(one, "two", "one")
        await lists(three, "three", "two", "one", service_domain="*")
        assert two.list_services() == [
            {"domain": "shop", "type": "scale", "id": "two"},
            {"domain": "shop", "type": "till", "id": "one"},
        ]
        assert ids(one, service_type="till") == ["one"]
        assert ids(one, service_domain="bank") == ["three"]
        assert ids(one, service_domain="bank", service_type="scale") == []
        assert ids(three) == ["three"]
        assert one.list_services(None, "till", True) == [{"domain": "shop", "type": "till", "id": "one"}]


async def test_who_says_nothing_is_not_listed_and_lists_the_others(vhost: str) -> None:
    for off in (False, None, 0, -1):
        async with connector(vhost, "silent", keep_alive_seconds=off) as silent, connector(vhost, "listener") as other:
            async with connector(vhost, "loud", keep_alive_seconds=0.2):
                await lists(silent, "loud")
                await lists(other, "loud")
            await lists(silent)


async def test_a_newcomer_sees_everybody_at_once(vhost: str) -> None:
    """It asks, and those who would say something in ten minutes answer."""
    async with (
        connector(vhost, "one", keep_alive_seconds=600),
        connector(vhost, "two", keep_alive_seconds=600),
        connector(vhost, "newcomer", keep_alive_seconds=600) as newcomer,
    ):
        began = time.monotonic()
        await lists(newcomer, "newcomer", "one", "two")
        assert time.monotonic() - began < lenient(5.0)


async def test_who_leaves_is_gone_at_once(vhost: str) -> None:
    async with connector(vhost, "stays", keep_alive_seconds=600, discovery_cache_ttl=600) as stays:
        async with connector(vhost, "leaves", keep_alive_seconds=600):
            await lists(stays, "leaves", "stays")
        began = time.monotonic()
        await lists(stays, "stays")
        assert time.monotonic() - began < lenient(5.0)


async def test_who_is_not_heard_any_more_is_gone_after_its_time(vhost: str) -> None:
    async with connector(vhost, "listener", discovery_cache_ttl=0.5) as amq, of_other_make(vhost) as say:
        await say("old")
        await lists(amq, "old")
        heard = time.monotonic() - amq.list_services(details=True)[0]["last_seen"]
        await lists(amq)
        assert 0.45 < time.monotonic() - heard < lenient(5.0)


async def test_who_beats_more_slowly_than_it_would_be_remembered_stays_listed(vhost: str) -> None:
    beats = headers()
    async with (
        connector(vhost, "slow", keep_alive_seconds=0.4),
        connector(vhost, "listener", discovery_cache_ttl=0.1) as amq,
    ):
        await lists(amq, "slow")
        amq.subscribe_service_keepalives("watcher", beats)
        for beat in range(1, 4):
            await beats.came(beat)
            assert ids(amq) == ["slow"]


async def test_details_say_more(vhost: str) -> None:
    async with (
        connector(vhost, "new", keep_alive_seconds=0.2, service_version="2.1") as amq,
        of_other_make(vhost) as say,
    ):
        await say("old")
        await lists(amq, "new", "old")
        new, old = amq.list_services(details=True)
        assert 0 <= new.pop("uptime") < lenient(20.0)
        assert 0 <= new.pop("last_seen") < lenient(2.0)
        assert new == {
            "domain": "shop",
            "type": "till",
            "id": "new",
            "version": "2.1",
            "versions": ["2.1"],
            "servers": 1,
            "native": True,
        }
        assert (old["version"], old["versions"], old["servers"], old["native"]) == (None, [], 1, False)
        assert amq.list_services(versions=True)[0] == {
            "domain": "shop",
            "type": "till",
            "id": "new",
            "version": "2.1",
            "versions": ["2.1"],
        }
        uptime = amq.list_services(details=True)[0]["uptime"]
        await asyncio.to_thread(wait_until, lambda: amq.list_services(details=True)[0]["uptime"] > uptime + 0.1)


async def test_a_clique_is_one_service_with_several_servers(vhost: str) -> None:
    def servers(amq: AmqBrokerConnector) -> list[tuple[str, int]]:
        return [(service["id"], service["servers"]) for service in amq.list_services(details=True)]

    async with connector(vhost, keep_alive_seconds=0.2) as first:
        async with connector(vhost, keep_alive_seconds=0.2) as second:
            for amq in (first, second):
                await asyncio.to_thread(wait_until, lambda amq=amq: servers(amq) == [("one", 2)])
        await asyncio.to_thread(wait_until, lambda: servers(first) == [("one", 1)])


async def test_keep_alives_are_given_to_whoever_subscribes(vhost: str) -> None:
    everything, of_one, of_scales, of_bank, whole = headers(), headers(), headers(), headers(), headers()
    async with (
        connector(vhost, "one", keep_alive_seconds=0.1, service_version="1.0") as amq,
        connector(vhost, "two", kind="scale", keep_alive_seconds=0.1),
        connector(vhost, "three", domain="bank", keep_alive_seconds=0.1),
    ):
        amq.subscribe_service_keepalives("all", everything)
        await amq.subscribe_service_keepalives("one", of_one.take, service_id="one")
        subscription = await amq.subscribe_service_keepalives("scales", of_scales, service_type="scale")
        amq.subscribe_service_keepalives("bank", of_bank.take, service_domain="bank", service_type="till")
        amq.subscribe_service_keepalives("whole", whole, "*", "till")
        await everything.came(8)
        assert {told["service_id"] for told in everything.items} == {"one", "two"}
        assert {told["service_id"] for told in await of_one.came(3)} == {"one"}
        assert {told["service_id"] for told in await of_scales.came(3)} == {"two"}
        assert {told["service_id"] for told in await of_bank.came(3)} == {"three"}
        await asyncio.to_thread(wait_until, lambda: {told["service_id"] for told in whole.items} == {"one", "three"})
        told = of_one.items[-1]
        assert {"msg_type", "service_domain", "service_id", "service_type"} <= set(told)
        assert (told["msg_type"], told["service_version"]) == ("keep_alive", "1.0")
        await subscription.cancel()
        count, others = len(of_scales.items), len(of_one.items)
        await of_one.came(others + 5)
        assert len(of_scales.items) <= count + 1


async def test_a_keep_alive_callback_that_raises_is_told_and_called_again(vhost: str) -> None:
    troubles = Troubles()

    async def fails(told: dict[str, Any]) -> None:
        raise ZeroDivisionError(told["service_id"])

    async with connector(vhost, keep_alive_seconds=0.1, on_error=troubles) as amq:
        await amq.subscribe_service_keepalives("watcher", fails)
        for error, place in await troubles.came(3):
            assert str(error) == "one"
            assert "watcher" in place
        assert ids(amq) == ["one"]


class Till(AbstractServiceApi):
    def sell(self, count: int) -> None: ...
    def refund(self, count: int) -> None: ...


class OtherTill(AbstractServiceApi):
    def sell(self, count: int, price: float = 1.0) -> None: ...
    def open(self) -> None: ...


async def test_siblings_whose_methods_differ_are_told_once(vhost: str) -> None:
    troubles, others, beats = Troubles(), Troubles(), headers()
    async with (
        connector(vhost, "one", keep_alive_seconds=0.1, on_error=troubles) as one,
        connector(vhost, "two", keep_alive_seconds=0.1, on_error=others) as two,
        connector(vhost, "three", kind="scale", keep_alive_seconds=0.1) as scale,
        connector(vhost, "four", keep_alive_seconds=0.1) as four,
    ):
        for amq in (one, four):
            await amq.rpc_register(Till())
        for amq in (two, scale):
            await amq.rpc_register(OtherTill())
        [(error, _)] = await troubles.came()
        assert isinstance(error, ConfigurationError)
        text = str(error)
        assert "shop.till.two" in text
        assert "sell(count, price=1.0)" in text and "open()" in text
        assert "refund(count)" in text
        await others.came(2)
        await one.subscribe_service_keepalives("watcher", beats, service_id="two")
        await beats.came(5)
        assert len(troubles.items) == 1
        assert {str(error).split(" ")[0] for error, _ in others.items} == {"shop.till.one", "shop.till.four"}


async def test_what_is_no_keep_alive_is_passed_over(vhost: str) -> None:
    async with connector(vhost, "listener") as amq, of_other_make(vhost) as say:
        wrong: list[dict[str, Any]] = [
            {"service_domain": "left out"},
            {"service_type": 5},
            {"service_id": None},
            {"service_id": "x" * 10_000},
            {"msg_type": "unheard"},
            {"msg_type": "goodbye"},
            {"service_instance": 3, "keep_alive_seconds": float(2**70), "uptime_seconds": -1.0, "methods": ["x"]},
        ]
        for changed in wrong:
            await say("wrong", **{"service_instance": "i", **changed})
        await say("right", service_version="no version", keep_alive_seconds="never", uptime_seconds="long")
        await asyncio.to_thread(wait_until, lambda: "right" in ids(amq))
        assert ids(amq) == ["right", "wrong"]


async def test_no_more_are_listed_than_are_allowed(vhost: str) -> None:
    async with connector(vhost, "listener", options={"max_services": 20}) as amq, of_other_make(vhost) as say:
        for number in range(50):
            await say(f"s{number}")
        await say("goes", msg_type="goodbye")
        await asyncio.to_thread(wait_until, lambda: len(ids(amq)) == 20)
        assert len(ids(amq)) == 20


def test_without_a_loop_it_is_the_same(vhost: str) -> None:
    beats = headers()
    with (
        connector(vhost, "one", keep_alive_seconds=0.1) as amq,
        connector(vhost, "two", keep_alive_seconds=0.1),
    ):
        wait_until(lambda: ids(amq) == ["one", "two"])
        amq.subscribe_service_keepalives("watcher", beats, service_id="two")
        assert {told["service_id"] for told in beats.wait(2)} == {"two"}


async def test_the_environment_says_how_exchanges_are_called_and_how_much_is_remembered(
    vhost: str, rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_EXCHANGE_NAME", "stuff")
    monkeypatch.setenv("DISCOVERY_EXCHANGE_NAME", "who.is.there")
    monkeypatch.setenv("DISCOVERY_CACHE_TTL", "1.5")
    monkeypatch.setenv("MAX_DISCOVERY_CACHE_ENTRIES", "2")
    async with connector(vhost) as amq, of_other_make(vhost, "who.is.there") as say:
        assert amq.data_exchange == "shop.stuff"
        assert {"shop.stuff", "who.is.there"} <= set(rabbitmq.exchanges(vhost.rpartition("/")[2]))
        for number in range(3):
            await say(f"s{number}")
        await lists(amq, "s0", "s1")
        await lists(amq)
    async with connector(vhost, discovery_exchange="told.in.code", discovery_cache_ttl=9) as amq:
        assert "told.in.code" in rabbitmq.exchanges(vhost.rpartition("/")[2])
    for name in ("DISCOVERY_CACHE_TTL", "MAX_DISCOVERY_CACHE_ENTRIES"):
        for wrong in ("soon", "-1", "nan", ""):
            with monkeypatch.context() as changed, pytest.raises(ConfigurationError, match=f"{name}|max_services"):
                changed.setenv(name, wrong)
                connector(vhost)
