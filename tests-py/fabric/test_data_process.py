"""`message.process()`, and that a message is settled once."""

from __future__ import annotations

from typing import Any

import pytest
from harness import RabbitMQ
from ironbridge.fabric import IncomingMessage, MessageSettled

from fabric.inbox import Troubles, bodies, connector, messages
from fabric.queues import settled


@pytest.mark.parametrize("first", ["ack", "nack", "reject"])
@pytest.mark.parametrize("second", ["ack", "nack", "reject"])
async def test_a_message_is_settled_once(vhost: str, first: str, second: str) -> None:
    done = bodies()

    async def callback(message: IncomingMessage) -> None:
        if message.redelivered:
            return
        await getattr(message, first)()
        with pytest.raises(MessageSettled, match="before"):
            await getattr(message, second)()
        with pytest.raises(MessageSettled):
            async with message.process():
                pass
        async with message.process(ignore_processed=True):
            pass
        done(message)

    async with connector(vhost) as amq:
        await amq.subscribe_data("reader", {}, callback)
        await amq.publish_data(b"it", {})
        await done.came()


class Failed(Exception):
    """Of a callback."""


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
@pytest.mark.parametrize("requeue", [True, False], ids=["requeue", "reject"])
async def test_a_block_acknowledges_at_its_end_and_rejects_what_raises(
    vhost: str, rabbitmq: RabbitMQ, is_async: bool, requeue: bool
) -> None:
    seen, troubles = bodies(), Troubles()

    def work(message: IncomingMessage) -> None:
        seen(message)
        assert not message.processed
        if message.body == b"bad" and not message.redelivered:
            raise Failed("in the block")

    async def coroutine(message: IncomingMessage) -> None:
        async with message.process(requeue=requeue) as same:
            assert same is message
            work(message)
        assert message.processed

    def plain(message: IncomingMessage) -> None:
        with message.process(requeue=requeue) as same:
            assert same is message
            work(message)
        assert message.processed

    async with connector(vhost, on_error=troubles) as amq:
        callback: Any = coroutine if is_async else plain
        subscription = await amq.subscribe_data("reader", {}, callback, ack="manual")
        await amq.publish_data(b"bad", {})
        await amq.publish_data(b"good", {})
        expected = [b"bad", b"bad", b"good"] if requeue else [b"bad", b"good"]
        assert sorted(await seen.came(len(expected))) == expected
        [(error, _)] = await troubles.came()
        assert isinstance(error, Failed)
        assert await settled(rabbitmq, vhost) == 0
        stats = subscription.stats()
        assert (stats["acknowledged"], stats["rejected"]) == (len(expected) - 1, 1)


async def test_a_block_gives_back_once_when_it_is_told_to_reject_what_came_again(vhost: str) -> None:
    seen, troubles = messages(), Troubles()

    async def callback(message: IncomingMessage) -> None:
        seen(message)
        async with message.process(requeue=True, reject_on_redelivered=True):
            raise Failed("always")

    async with connector(vhost, on_error=troubles) as amq:
        await amq.subscribe_data("reader", {}, callback)
        await amq.publish_data(b"bad", {})
        await troubles.came(2)
        await amq.publish_data(b"next", {})
        assert [(message.body, message.redelivered) for message in await seen.came(4)] == [
            (b"bad", False),
            (b"bad", True),
            (b"next", False),
            (b"next", True),
        ]
