"""Messages that wait while nobody is there, outlive the broker, and go to a place of their own when nobody can handle
them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from harness import RabbitMQ
from ironbridge.fabric import ConfigurationError, IncomingMessage

from fabric.inbox import Troubles, bodies, connector, messages
from fabric.queues import waiting


@pytest.fixture(autouse=True)
def _counted_often(rabbitmq: RabbitMQ) -> None:
    """A durable queue counts its messages every five seconds, unless it is told otherwise."""
    rabbitmq.eval("application:set_env(rabbit, quorum_tick_interval, 20)")


async def test_messages_wait_while_a_durable_subscriber_is_away(vhost: str) -> None:
    before, after = bodies(), bodies()
    async with connector(vhost, "publisher") as publisher:
        async with connector(vhost, "reader") as reader:
            await reader.subscribe_data("archive", {"kind": "sale"}, before, durable=True)
            await publisher.publish_data(b"seen", {"kind": "sale"})
            await before.came()
        for number in range(3):
            await publisher.publish_data(b"%d" % number, {"kind": "sale"})
        await publisher.publish_data(b"not a sale", {"kind": "visit"})
        async with connector(vhost, "reader") as reader:
            await reader.subscribe_data("archive", {"kind": "sale"}, after, durable=True)
            assert await after.came(3) == [b"0", b"1", b"2"]
            await publisher.publish_data(b"end", {"kind": "sale"})
            assert await after.came(4) == [b"0", b"1", b"2", b"end"]


async def test_what_others_miss_is_gone(vhost: str) -> None:
    inbox = bodies()
    async with connector(vhost, "publisher") as publisher:
        async with connector(vhost, "reader") as reader:
            await reader.subscribe_data("fleeting", {}, bodies())
        await publisher.publish_data(b"missed", {})
        async with connector(vhost, "reader") as reader:
            await reader.subscribe_data("fleeting", {}, inbox)
            await publisher.publish_data(b"seen", {})
            assert await inbox.came() == [b"seen"]


async def test_persistent_messages_outlive_a_restart_of_the_broker(own_rabbitmq: RabbitMQ) -> None:
    uri, inbox, rest = own_rabbitmq.uri(), messages(), bodies()
    async with connector(uri, "publisher", on_error=None) as publisher:
        async with connector(uri, "reader") as reader:
            await reader.subscribe_data("archive", {}, inbox, durable=True, ack="manual")
            await publisher.publish_data(b"open", {}, persistent=True)
            await inbox.came()
        for number in range(3):
            await publisher.publish_data(b"%d" % number, {}, persistent=True)
        await asyncio.to_thread(own_rabbitmq.restart)
        # Goes on by itself: it is published when the connection stands again.
        await publisher.publish_data(b"after", {}, persistent=True)
        async with connector(uri, "reader") as reader:
            await reader.subscribe_data("archive", {}, rest, durable=True)
            assert sorted(await rest.came(5)) == [b"0", b"1", b"2", b"after", b"open"]


async def test_what_a_callback_cannot_handle_waits_in_a_queue_of_its_own(vhost: str, rabbitmq: RabbitMQ) -> None:
    troubles, dead = Troubles(), messages()

    def fails(message: IncomingMessage) -> None:
        raise ValueError(message.body.decode())

    async with connector(vhost, on_error=troubles) as amq:
        await amq.subscribe_data("reader", {"kind": "sale"}, fails, dead_letter=True)
        await amq.publish_data(b"one", {"kind": "sale", "n": 1})
        await amq.publish_data(b"two", {"kind": "sale", "n": 2})
        await troubles.came(2)
        await waiting(rabbitmq, vhost, "shop.data.reader.dead", 2)
        assert rabbitmq.queues(vhost.rpartition("/")[2])["shop.data.reader.dead"]["durable"]
        await read_dead(amq, dead)
        came = await dead.came(2)
        assert [message.body for message in came] == [b"one", b"two"]
        assert [message.headers["n"] for message in came] == [1, 2]
        assert came[0].headers["x-death"][0]["reason"] == "rejected"


async def read_dead(amq: Any, dead: Any) -> None:
    """Takes what nobody could handle, by the queue's name."""
    await amq.subscribe_data("undertaker", {"nobody": "says this"}, dead, queue="shop.data.reader.dead", durable=True)


@pytest.mark.parametrize("says", ["nack", "reject"])
async def test_what_is_rejected_by_the_callback_itself_is_dead_lettered_too(
    vhost: str, rabbitmq: RabbitMQ, says: str
) -> None:
    async def rejects(message: IncomingMessage) -> None:
        getattr(message, says)(requeue=False)

    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, rejects, durable=True, dead_letter=True, ack="manual")
        await amq.publish_data(b"one", {})
        await waiting(rabbitmq, vhost, "shop.data.reader.dead", 1)
        await waiting(rabbitmq, vhost, "shop.data.reader", 0)


async def test_a_message_that_expires_is_dead_lettered(vhost: str, rabbitmq: RabbitMQ) -> None:
    async with connector(vhost) as amq:
        subscription = await amq.subscribe_data("reader", {}, bodies(), durable=True, dead_letter=True)
        await subscription.cancel()
        await amq.publish_data(b"stale", {}, expiration=0.05)
        await amq.publish_data(b"fresh", {}, expiration=600)
        await waiting(rabbitmq, vhost, "shop.data.reader.dead", 1)
        await waiting(rabbitmq, vhost, "shop.data.reader", 1)


async def test_a_message_is_tried_so_often_and_then_dead_lettered(vhost: str, rabbitmq: RabbitMQ) -> None:
    tried, troubles = messages(), Troubles()

    async def fails(message: IncomingMessage) -> None:
        tried(message)
        raise ValueError("not today")

    async with connector(vhost, on_error=troubles) as amq:
        await amq.subscribe_data("reader", {}, fails, durable=True, dead_letter=True, max_deliveries=3)
        await amq.publish_data(b"one", {})
        await waiting(rabbitmq, vhost, "shop.data.reader.dead", 1)
        came = await tried.came(3)
        assert [message.delivery_count or 0 for message in came] == [0, 1, 2]
        assert [message.redelivered for message in came] == [False, True, True]
        await troubles.came(3)
        await waiting(rabbitmq, vhost, "shop.data.reader", 0)
        assert len(tried.items) == 3


async def test_a_message_that_is_tried_once_is_not_tried_again(vhost: str, rabbitmq: RabbitMQ) -> None:
    troubles = Troubles()

    def fails(message: IncomingMessage) -> None:
        raise ValueError("not today")

    async with connector(vhost, on_error=troubles) as amq:
        await amq.subscribe_data("reader", {}, fails, durable=True, dead_letter=True, max_deliveries=1)
        await amq.publish_data(b"one", {})
        await waiting(rabbitmq, vhost, "shop.data.reader.dead", 1)
        assert len(await troubles.came(1)) == 1


async def test_without_a_place_for_dead_letters_a_message_is_dropped_after_its_last_try(
    vhost: str, rabbitmq: RabbitMQ
) -> None:
    troubles, good = Troubles(), bodies()

    def fails(message: IncomingMessage) -> None:
        if message.body == b"bad":
            raise ValueError("not today")
        good(message)

    async with connector(vhost, on_error=troubles) as amq:
        await amq.subscribe_data("reader", {}, fails, durable=True, max_deliveries=2)
        await amq.publish_data(b"bad", {})
        await amq.publish_data(b"good", {})
        await troubles.came(2)
        assert await good.came() == [b"good"]
        await waiting(rabbitmq, vhost, "shop.data.reader", 0)


@pytest.mark.parametrize(
    "options",
    [{"durable": True}, {"dead_letter": True}, {"durable": True, "dead_letter": True}],
    ids=["durable", "dead letters", "both"],
)
async def test_a_group_whose_members_say_different_things_is_refused(vhost: str, options: dict[str, Any]) -> None:
    inbox = bodies()
    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, inbox)
        with pytest.raises(ConfigurationError, match=r"shop\.data\.reader.*other properties"):
            await amq.subscribe_data("reader", {}, bodies(), **options)
        await amq.publish_data(b"the first goes on", {})
        assert await inbox.came() == [b"the first goes on"]


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"max_deliveries": 3}, "durable"),
    ({"max_deliveries": 0, "durable": True}, "max_deliveries"),
    ({"prefetch": 0}, "prefetch"),
    ({"prefetch": 70_000}, "prefetch"),
    ({"prefetch": True}, "prefetch"),
    ({"match": "some"}, "match"),
    ({"ack": "never"}, "ack"),
    ({"stream": "s", "durable": True}, "durable"),
    ({"stream": "s", "dead_letter": True}, "dead_letter"),
    ({"stream": "s", "max_deliveries": 2}, "max_deliveries"),
    ({"stream": "s", "ack": "none"}, "ack"),
    ({"stream": "s", "replay": "middle"}, "replay"),
    ({"stream": "s", "replay": -1}, "replay"),
    ({"replay": "first"}, "stream"),
    ({"ack": "none", "dead_letter": True}, "ack"),
    ({"ack": "none", "durable": True, "max_deliveries": 2}, "ack"),
    ({"domain": ""}, "domain"),
    ({"queue": ""}, "queue"),
    ({"stream": ""}, "stream"),
]


async def test_options_that_contradict_each_other_are_refused_at_once(vhost: str, rabbitmq: RabbitMQ) -> None:
    async with connector(vhost) as amq:
        for options, named in CONTRADICTIONS:
            with pytest.raises(ConfigurationError, match=named):
                pytest.fail(f"{options} gave {amq.subscribe_data('reader', {}, bodies(), **options)}")
    assert "shop.data.reader" not in rabbitmq.queues(vhost.rpartition("/")[2])


async def test_a_subscriber_has_a_name_that_the_broker_can_carry_and_a_function(vhost: str) -> None:
    wrong: Any
    async with connector(vhost) as amq:
        for wrong in (None, 3, "", "x" * 256):
            with pytest.raises(ConfigurationError, match="subscriber"):
                amq.subscribe_data(wrong, {}, bodies())
        for wrong in ("print", None, 3):
            with pytest.raises(ConfigurationError, match="callback"):
                amq.subscribe_data("reader", {}, wrong)
