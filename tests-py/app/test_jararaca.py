"""Our application beside the original, from PyPI: the server of one publishes, the worker of the other handles."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import aio_pika
import pytest
from harness import RabbitMQ, Redis, wait_until
from redis import Redis as Client
from websockets.asyncio.client import connect

from app.peers.sides import QUEUE, Side, side

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def sides(rabbitmq: RabbitMQ, redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Side]]:
    """Both ways: whose server it is names them."""
    with ExitStack() as running:
        folders = [tmp_path_factory.mktemp(name) for name in ("theirs", "ours")]
        theirs = running.enter_context(side("theirs", "ours", rabbitmq, redis, 11, folders[0]))
        ours = running.enter_context(side("ours", "theirs", rabbitmq, redis, 12, folders[1]))
        yield {"theirs": theirs, "ours": ours}


@pytest.fixture(params=["theirs", "ours"])
def met(request: pytest.FixtureRequest, sides: dict[str, Side]) -> Side:
    """Each side in turn: the server's make."""
    return sides[request.param]


def test_what_one_publishes_the_other_handles(met: Side) -> None:
    met.post("/orders/1")
    [told] = met.wait(handled=1)
    assert (told["wish"], told["attempt"], len(told["id"])) == ("ok", 1, 32)


def test_what_fails_is_tried_again_by_the_worker_s_own_beat(met: Side) -> None:
    met.post("/orders/2", wish="once")
    assert [one["attempt"] for one in met.wait(2, handled=2)] == [1, 2]


def test_what_is_refused_is_a_dead_letter_that_the_other_s_command_lists(met: Side) -> None:
    met.post("/orders/3", wish="reject")
    met.wait(handled=3)
    wait_until(lambda: met.rabbitmq.queues(met.vhost)["dlq"]["messages_ready"] == 1, 10, "the dead letter")
    [letter] = json.loads(met.done("ours", "dlq", "list", "--broker-url", met.url, "--show-body", "--json"))
    assert (letter["queue"], json.loads(letter["body"])["number"]) == (QUEUE, 3)
    theirs = json.loads(met.done("theirs", "dlq", "list", "--broker-url", met.url, "--show-body", "--json"))
    assert QUEUE in json.dumps(theirs)


def test_a_delayed_message_of_one_is_published_by_the_other_s_beat(met: Side) -> None:
    met.post("/orders/4/later", key="key-4")
    met.wait(handled=4)


async def captured(sides: dict[str, Side]) -> dict[str, list[aio_pika.abc.AbstractIncomingMessage]]:
    """What each server publishes of one request."""
    found: dict[str, list[aio_pika.abc.AbstractIncomingMessage]] = {}
    for name, met in sides.items():
        async with await aio_pika.connect(met.bus) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("captured", exclusive=True)
            await queue.bind("shop", "#")
            await asyncio.to_thread(met.post, "/orders/5")
            async with asyncio.timeout(10), queue.iterator() as arriving:
                found[name] = [await anext(arriving) for _ in range(2)]
    return found


def about(message: aio_pika.abc.AbstractIncomingMessage) -> dict[str, Any]:
    """All that goes with a message."""
    return dict(message.info())


async def test_messages_are_the_same_property_by_property(sides: dict[str, Side]) -> None:
    found = await captured(sides)
    properties = [
        name for name in found["ours"][0].info() if name not in ("message_id", "delivery_tag", "consumer_tag")
    ]
    assert "routing_key" in properties and "delivery_mode" in properties
    for ours, theirs in zip(found["ours"], found["theirs"], strict=True):
        assert ours.body == theirs.body
        told = [{name: about(one)[name] for name in properties} for one in (ours, theirs)]
        assert told[0] == told[1]
        assert len(str(ours.message_id)) == len(str(theirs.message_id)) == 32


def test_what_waits_in_redis_is_the_same_key_by_key(sides: dict[str, Side], redis: Redis) -> None:
    kept = {}
    for name, number in (("theirs", 11), ("ours", 12)):
        # Its beat takes it when its time has come: what is looked at waits longer.
        sides[name].post("/orders/6/later", key="shown", seconds="3")
        with Client(redis.host, redis.port, db=number) as client:
            text = wait_until(lambda client=client: client.get("delayed_messages_metadata:shown"), 5)  # type: ignore[misc]
        kept[name] = json.loads(text)
        sides[name].wait(handled=6)
    assert list(kept["ours"]) == list(kept["theirs"])
    for one in kept.values():
        one["payload"] = json.loads(one["payload"])
        assert isinstance(one.pop("dispatch_time"), int)
    assert kept["ours"] == kept["theirs"]


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_either_declares_what_the_other_has_declared(sides: dict[str, Side], rabbitmq: RabbitMQ, first: str) -> None:
    met, name = sides["ours"], f"declared-{first}"
    rabbitmq.add_vhost(name)
    url = f"{rabbitmq.uri(vhost=name)}?exchange=shop&prefetch_count=20"
    makes: list[Any] = ["ours", "theirs"] if first == "ours" else ["theirs", "ours"]
    seen = []
    for make in makes:
        met.done(make, "declare", "shop:scheduling", "--broker-url", url)
        queues = {queue: about["arguments"] for queue, about in rabbitmq.queues(name).items()}
        seen.append((queues, sorted(map(str, rabbitmq.bindings(name)))))
    rabbitmq.delete_vhost(name)
    assert seen[0] == seen[1]
    assert any("global_scheduler" in queue for queue in seen[0][0])


async def test_what_one_tells_a_room_or_all_the_other_s_websockets_hear(sides: dict[str, Side]) -> None:
    # Redis's channels are those of all its databases: the two servers are instances of one application.
    for teller, hearer in (("ours", "theirs"), ("theirs", "ours")):
        async with connect(f"ws://127.0.0.1:{sides[hearer].port}/notes/{teller}") as socket:
            assert await asyncio.wait_for(socket.recv(), 10) == "in"
            await asyncio.to_thread(sides[teller].post, f"/notes/{teller}", text="hello")
            told = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert told == {"MESSAGE_ID": "note", "message": {"text_body": "hello"}}
            await asyncio.to_thread(sides[teller].post, "/notes/all", text="all of you")
            assert await asyncio.wait_for(socket.recv(), 10) == b"all of you"
