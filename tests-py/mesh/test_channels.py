"""Channels: events that wait for whoever handles them, whatever fails, restarts or dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Program, Redis, wait_until
from ironbridge._mesh.channels.envelope import context_of, headers_of
from ironbridge.errors import PayloadError
from ironbridge.mesh import (
    BaseService,
    Broker,
    BrokerOptionsError,
    Context,
    MoleculerRetryableError,
    ServiceSchemaError,
    channel,
)
from redis.asyncio import Redis as Client

from mesh.meeting import Meeting

Make = Callable[..., Broker]


class Inbox:
    """What services have taken, and whoever waits for it."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._news = asyncio.Event()

    def add(self, what: Any) -> None:
        self.all.append(what)
        self._news.set()

    async def wait(self, count: int) -> list[Any]:
        async with asyncio.timeout(15):
            while len(self.all) < count:
                self._news.clear()
                await self._news.wait()
        return self.all


@pytest.fixture(params=["memory", "redis", "nats"])
def make(request: pytest.FixtureRequest, namespace: str) -> Make:
    """Makes brokers that meet in memory, and whose channels are in each kind of server in turn."""
    kind = request.param
    url = "memory" if kind == "memory" else request.getfixturevalue(f"at_{kind}").url

    def make(node_id: str, **channels: Any) -> Broker:
        told = {"adapter": url, "retry_delay": 20, "redis": {"claim_interval": 20}, **channels}
        return Broker(node_id, transporter="memory", namespace=namespace, channels=told)

    return make


def listening(broker: Broker, name: str, inbox: Inbox, **schema: Any) -> None:
    """A service that takes what comes from the channel `order.paid`."""

    async def take(payload: Any) -> None:
        inbox.add((name, payload))

    broker.create_service({"name": name, "channels": {"order.paid": {"handler": take, **schema}}})


async def there(broker: Broker, *names: str) -> None:
    """Services listen: what they have sent themselves has come."""
    await broker.wait_for_services(list(names), 5000)
    for name in names:
        service = broker.get_local_service(name)
        for subscription in broker.channels._listening[service]:
            async with asyncio.timeout(10):
                await subscription.ready()


@pytest.mark.parametrize("make", ["redis"], indirect=True)
async def test_what_is_on_its_way_to_its_reader_is_not_taken_for_left(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Client.xreadgroup

    async def late(self: Any, *given: Any, **more: Any) -> Any:
        found = await read(self, *given, **more)
        await asyncio.sleep(0.1)  # several looks for what was left
        return found

    monkeypatch.setattr(Client, "xreadgroup", late)
    inbox = Inbox()
    async with make("one") as one:
        listening(one, "mail", inbox)
        await there(one, "mail")
        for number in range(10):
            await one.send_to_channel("order.paid", {"number": number})
            await inbox.wait(number + 1)
    assert [params["number"] for _, params in inbox.all] == list(range(10))


async def test_of_each_group_one_takes_each_message(make: Make) -> None:
    inbox = Inbox()
    async with make("one") as one, make("two") as two:
        listening(one, "mail", inbox, group="mail")
        listening(two, "post", inbox, group="mail")
        listening(two, "audit", inbox)
        await there(one, "mail")
        await there(two, "post", "audit")
        for number in range(10):
            await one.send_to_channel("order.paid", {"number": number})
        found = await inbox.wait(20)
    assert sorted(params["number"] for name, params in found if name == "audit") == list(range(10))
    assert sorted(params["number"] for name, params in found if name != "audit") == list(range(10))


async def test_what_is_sent_while_nobody_is_there_waits(make: Make) -> None:
    inbox = Inbox()
    async with make("one") as one:
        listening(one, "mail", inbox)
        await there(one, "mail")
    async with make("two") as two:
        await two.send_to_channel("order.paid", {"number": 1})
        assert inbox.all == []
        listening(two, "mail", inbox)
        assert await inbox.wait(1) == [("mail", {"number": 1})]


async def test_a_message_that_fails_is_tried_again_and_goes_to_the_dead_letters_at_last(make: Make) -> None:
    tried, dead = Inbox(), Inbox()

    async def fail(payload: Any) -> None:
        tried.add(payload)
        raise ValueError("not this one")

    async def bury(ctx: Context) -> None:
        dead.add(ctx.params)

    async with make("one") as one:
        schema = {"handler": fail, "maxRetries": 3, "deadLettering": {"enabled": True, "queueName": "DEAD"}}
        one.create_service({"name": "mail", "channels": {"order.paid": schema}})
        one.create_service({"name": "grave", "channels": {"DEAD": {"handler": bury, "context": True}}})
        await there(one, "mail", "grave")
        await one.send_to_channel("order.paid", {"number": 1}, headers={"h": "v"})
        assert await dead.wait(1) == [{"number": 1}]
    assert tried.all == [{"number": 1}] * 3


async def test_one_that_fails_now_and_then_is_handled_in_the_end(make: Make) -> None:
    tried = Inbox()

    async def twice(payload: Any) -> None:
        tried.add(payload)
        if len(tried.all) < 2:
            raise ValueError("not yet")

    async with make("one") as one:
        one.create_service({"name": "mail", "channels": {"order.paid": twice}})
        await there(one, "mail")
        await one.send_to_channel("order.paid", 5)
        await one.send_to_channel("order.paid", 6)
        found = await tried.wait(3)
    assert sorted(found) == [5, 5, 6] or sorted(found) == [5, 6, 6]


async def test_not_more_are_handled_at_once_than_are_wanted(make: Make) -> None:
    begun, most, running, go = Inbox(), 0, 0, asyncio.Event()

    async def work(payload: Any) -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        begun.add(payload)
        await go.wait()
        running -= 1

    async with make("one") as one:
        one.create_service({"name": "mail", "channels": {"order.paid": {"handler": work, "maxInFlight": 3}}})
        await there(one, "mail")
        for number in range(7):
            await one.send_to_channel("order.paid", number)
        await begun.wait(3)
        go.set()
        assert sorted(await begun.wait(7)) == list(range(7))
    assert most == 3


async def test_a_message_belongs_to_the_call_that_sent_it(make: Make) -> None:
    inbox = Inbox()

    class Mail(BaseService):
        @channel("order.paid")
        async def paid(self, ctx: Context) -> None:
            inbox.add((ctx.params, dict(ctx.meta), ctx.request_id, ctx.parent_id, ctx.level, ctx.caller))

    async def pay(ctx: Context) -> str:
        await ctx.broker.send_to_channel("order.paid", {"id": ctx.params["id"]}, ctx=ctx)
        return str(ctx.id)

    async with make("one") as one:
        Mail(one, "mail")
        one.create_service({"name": "shop", "actions": {"pay": pay}})
        await there(one, "mail")
        await one.wait_for_services(["shop"], 5000)
        sender = await one.call("shop.pay", {"id": 7}, meta={"user": "ünï"}, request_id="r")
        assert await inbox.wait(1) == [({"id": 7}, {"user": "ünï"}, "r", sender, 2, "shop")]


async def test_services_that_stop_let_end_what_they_handle(make: Make) -> None:
    begun, ended, go = Inbox(), Inbox(), asyncio.Event()

    async def work(payload: Any) -> None:
        begun.add(payload)
        await go.wait()
        ended.add(payload)

    broker = make("one")
    async with broker:
        broker.create_service({"name": "mail", "channels": {"order.paid": work}})
        await there(broker, "mail")
        await broker.send_to_channel("order.paid", 1)
        await begun.wait(1)
        stopping = asyncio.create_task(broker.stop())
        await asyncio.sleep(0)
        go.set()
        await stopping
        assert ended.all == [1]
    async with make("two") as two:
        listening(two, "mail", ended)
        await there(two, "mail")
        await two.send_to_channel("order.paid", 2)
        assert await ended.wait(2) == [1, ("mail", 2)]


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_what_a_killed_node_was_handling_is_taken_over(request: pytest.FixtureRequest, kind: str) -> None:
    meeting: Meeting = request.getfixturevalue(f"at_{kind}")
    inbox = Inbox()
    options = {
        "transporter": meeting.url,
        "namespace": meeting.namespace,
        "cfg_node_ping_timeout_ms": 900,
        # JetStream sees by itself who does not answer; of Redis's consumers, the mesh tells.
        "channels": {"redis": {"claimInterval": 20}, "nats": {"ackWait": 500}},
    }
    program = Path(__file__).with_name("channel_worker.py")
    with Program.python(program, json.dumps({"node_id": "doomed", **options})) as worker:
        worker.wait_line("ready", 15)
        async with Broker("heir", **options) as heir:  # type: ignore[arg-type]
            sent = 0
            async with asyncio.timeout(15):
                while "begun" not in worker.output:  # its consumer may not be there yet
                    await heir.send_to_channel("work", {"number": sent})
                    sent += 1
                    await asyncio.to_thread(worker.wait_line, "begun", 5)
            worker.kill()

            async def take(payload: Any) -> None:
                inbox.add(payload["number"])

            heir.create_service({"name": "workers", "channels": {"work": take}})
            found = await inbox.wait(sent)
    assert sorted(found) == list(range(sent))


async def test_a_server_that_restarts_is_found_again_and_what_it_kept_is_handled(namespace: str) -> None:
    inbox = Inbox()
    with Redis() as server:
        told = {"adapter": f"redis://{server.host}:{server.port}", "send_timeout": 500}
        async with Broker("one", transporter="memory", namespace=namespace, channels=told) as broker:
            listening(broker, "mail", inbox)
            await there(broker, "mail")
            await broker.send_to_channel("order.paid", 1)
            await inbox.wait(1)
            await asyncio.to_thread(server.stop)
            begun = time.monotonic()
            with pytest.raises(MoleculerRetryableError, match="has not taken the message"):
                await broker.send_to_channel("order.paid", 2)
            assert time.monotonic() - begun < 5
            await asyncio.to_thread(server.start)
            await broker.send_to_channel("order.paid", 3)
            found = await inbox.wait(2)
    assert ("mail", 3) in found


@pytest.mark.parametrize("kind", ["redis", "nats"])
async def test_javascript_s_messages_are_taken_here_and_ours_there(request: pytest.FixtureRequest, kind: str) -> None:
    meeting: Meeting = request.getfixturevalue(f"at_{kind}")
    place = {"host": meeting.server.host, "port": meeting.server.port}
    adapter = (
        {"type": "Redis", "options": {"redis": place, "prefix": meeting.namespace}}
        if kind == "redis"
        else {
            "type": "NATS",
            "options": {"nats": {"connectionOptions": {"servers": meeting.url}}, "prefix": meeting.namespace},
        }
    )
    middleware = {"name": "Channels", "args": [{"adapter": adapter}]}
    theirs = meeting.js("4", "theirs", services=["channels"], middlewares=[middleware])
    inbox = Inbox()

    async def take(ctx: Context) -> None:
        inbox.add((ctx.params, dict(ctx.meta), ctx.level, ctx.caller))

    async with Broker("ours", transporter=meeting.url, namespace=meeting.namespace) as ours:
        ours.create_service(
            {"name": "ours", "channels": {name: {"handler": take, "context": True} for name in ("order.paid", "DEAD")}}
        )
        await there(ours, "ours")
        await ours.wait_for_services(["channels"], 10_000)
        # Theirs: alone, and within a call.
        await asyncio.to_thread(theirs.ask, "publish", channel="order.paid", payload={"id": 1})
        await inbox.wait(1)
        await ours.call("channels.pay", {"id": 2}, meta={"m": 1})
        found = await inbox.wait(2)
        assert found == [({"id": 1}, {}, 1, None), ({"id": 2}, {"m": 1}, 2, "channels")]
        # Ours, within a call of ours.
        ctx = ours.make_context(params={}, meta={"n": 2}, level=4, request_id="request", caller=None)
        await ours.send_to_channel("order.paid", {"id": 3, "text": "ü"}, ctx=ctx)
        event = await asyncio.to_thread(theirs.wait, "taken", channel="order.paid", count=3)
        assert (event["params"], event["meta"]) == ({"id": 3, "text": "ü"}, {"n": 2})
        assert (event["requestID"], event["parentID"], event["level"]) == ("request", ctx.id, 5)
        # What fails there is a dead letter that says where it is from.
        await ours.send_to_channel("order.failing", {"id": 4}, headers={"h": "v"})
        assert (await asyncio.to_thread(theirs.wait, "dead"))["params"] == {"id": 4}


async def test_nodes_of_both_languages_share_a_group(at_redis: Meeting) -> None:
    place = {"host": at_redis.server.host, "port": at_redis.server.port}
    adapter = {"type": "Redis", "options": {"redis": place, "prefix": at_redis.namespace}}
    middleware = {"name": "Channels", "args": [{"adapter": adapter}]}
    theirs = at_redis.js("4", "theirs", services=["channels"], middlewares=[middleware])
    inbox = Inbox()
    async with Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace) as ours:
        listening(ours, "ours", inbox, group="channels")
        await there(ours, "ours")
        for number in range(60):
            await ours.send_to_channel("order.paid", {"id": number})

        def all_of_them() -> list[int]:
            taken = [event["params"]["id"] for event in theirs.events("taken", channel="order.paid")]
            return sorted([*taken, *(payload["id"] for _, payload in inbox.all)])

        await asyncio.to_thread(wait_until, lambda: len(all_of_them()) >= 60, 15)
    assert all_of_them() == list(range(60))
    assert 0 < len(inbox.all) < 60


def test_what_is_not_written_as_channels_are_is_refused(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    for wrong, why in (
        ({"a": {"group": "g"}}, "has no handler"),
        ({"a": {"handler": print, "colour": 1}}, "has no colour"),
        ({"a": {"handler": print, "maxInFlight": 0}}, "too few"),
    ):
        with pytest.raises(ServiceSchemaError, match=why):
            broker.create_service({"name": "it", "channels": wrong})
    with pytest.raises(BrokerOptionsError, match="no option colour"):
        Broker("one", transporter="memory", channels={"colour": 1})
    with pytest.raises(BrokerOptionsError, match="give redis"):
        Broker("one", transporter="memory", channels="kafka://here")


async def test_what_json_has_not_is_refused_before_it_is_sent(make: Make) -> None:
    async with make("one") as one:
        with pytest.raises(PayloadError):
            await one.send_to_channel("order.paid", object())


def test_headers_of_strangers_harm_nobody(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    for meta in ("%%%", "bnVsbA==", "", "W10="):
        for level in ("-1", "x", "9" * 50, "7"):
            ctx = context_of(broker, None, 1, {"$requestID": "r", "$meta": meta, "$level": level, "$headers": "e"})
            assert ctx.meta == {} and ctx.level in (1, 8) and ctx.request_id == "r"
    assert headers_of(None, {"a": 1}) == {"a": "1"}


async def test_all_that_a_node_left_is_taken_over_by_one_that_handles_less_at_once(
    redis: Redis, namespace: str
) -> None:
    url, inbox = f"redis://{redis.host}:{redis.port}", Inbox()
    stream, doomed, alive = f"{namespace}.order.paid", f"{namespace}.web.mail.x", f"{namespace}.web.2.mail.x"
    options = {
        "transporter": "memory",
        "namespace": namespace,
        "channels": {"adapter": url, "redis": {"claimInterval": 10}},
    }
    async with Client.from_url(url) as client, Broker("heir", **options) as heir:  # type: ignore[arg-type]
        await client.xgroup_create(stream, "mail", "$", mkstream=True)
        for number in range(5):
            await client.xadd(stream, {"payload": json.dumps(number)})
        await client.xreadgroup("mail", doomed, {stream: ">"}, count=4)
        await client.xreadgroup("mail", alive, {stream: ">"}, count=1)
        listening(heir, "mail", inbox)
        await there(heir, "mail")
        heir.channels.adapter.know_node("web.2", True)
        heir.channels.adapter.know_node("web", False)
        found = await inbox.wait(4)
        assert sorted(payload for _, payload in found) == [0, 1, 2, 3]
        [row] = await client.xpending_range(stream, "mail", "-", "+", 10)
        assert row["consumer"] == alive.encode(), "a live node keeps what it handles"
