"""What nobody awaits: it happens all the same, and its failure is told once, to `on_error`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from harness import RabbitMQ
from ironbridge.fabric import ConfigurationError, Overloaded, PayloadError, ServiceUnavailable

from fabric.inbox import Troubles, bodies, connector


@pytest.fixture(autouse=True)
def _asyncio_says_nothing(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Such as "Future exception was never retrieved"."""
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_data_that_comes_back_is_told(vhost: str) -> None:
    troubles, inbox = Troubles(), bodies()
    async with connector(vhost, on_error=troubles) as amq:
        amq.publish_data(b"nobody's", {"kind": "a"}, mandatory=True)
        [(error, place)] = await troubles.came()
        assert isinstance(error, ServiceUnavailable)
        assert place == "publishing data"
        amq.subscribe_data("reader", {}, inbox)
        amq.publish_data(b"goes on", {})
    assert len(troubles.items) == 1


async def test_a_subscription_that_cannot_be_is_told(vhost: str) -> None:
    troubles = Troubles()
    async with connector(vhost, on_error=troubles) as amq:
        await amq.subscribe_data("reader", {}, bodies())
        amq.subscribe_data("reader", {}, bodies(), durable=True)
        [(error, place)] = await troubles.came()
        assert isinstance(error, ConfigurationError)
        assert "reader" in place
    assert len(troubles.items) == 1


async def test_what_is_awaited_late_fails_late_too(vhost: str) -> None:
    troubles = Troubles()
    async with connector(vhost, on_error=troubles) as amq:
        publishing = amq.publish_data(b"nobody's", {}, mandatory=True)
        await troubles.came()
        with pytest.raises(ServiceUnavailable):
            await publishing
        assert len(troubles.items) == 1


async def test_what_is_awaited_is_told_nowhere_else(vhost: str) -> None:
    troubles = Troubles()
    async with connector(vhost, on_error=troubles) as amq:
        with pytest.raises(ServiceUnavailable):
            await amq.publish_data(b"nobody's", {}, mandatory=True)
        both = [amq.publish_data(b"nobody's", {}, mandatory=True) for _ in range(2)]
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert all(isinstance(outcome, ServiceUnavailable) for outcome in outcomes)
        await amq.publish_data(b"", {})
    assert troubles.items == []


async def test_closing_at_once_is_no_trouble(vhost: str) -> None:
    troubles, inbox = Troubles(), bodies()
    async with connector(vhost, "other") as other:
        await other.subscribe_data("reader", {}, inbox)
        async with connector(vhost, on_error=troubles) as amq:
            amq.subscribe_data("late", {}, bodies())
            amq.publish_data(b"it", {})
        assert await inbox.came() == [b"it"]
    assert troubles.items == []


async def test_data_that_could_not_be_sent_before_the_end_is_told(own_rabbitmq: RabbitMQ) -> None:
    troubles = Troubles()
    amq = connector(own_rabbitmq.uri(), on_error=troubles)
    await amq.open()
    own_rabbitmq.freeze()
    for number in range(3):
        amq.publish_data(b"%d" % number, {})
    await amq.close(timeout=0.2)
    own_rabbitmq.thaw()
    told = "\n".join(str(error) for error, _ in troubles.items)
    assert "3 messages" in told


async def test_what_a_frame_does_not_hold_is_refused_and_everything_else_goes_on(vhost: str) -> None:
    """Sent, it would end the connection."""
    states: list[str] = []
    troubles, inbox = Troubles(), bodies()
    async with connector(vhost, on_error=troubles, on_state=states.append) as amq:
        await amq.subscribe_data("reader", {}, inbox)
        await amq.publish_data(b"fits", {"big": "x" * 127_000})
        for size in range(130_960, 131_080, 20):
            with pytest.raises(PayloadError, match="131072"):
                await amq.publish_data(b"", {"big": "x" * size})
        for wrong in (float("nan"), float("inf"), -float("inf"), [float("nan")], {"deep": float("inf")}):
            with pytest.raises(PayloadError, match=r"headers.*wrong"):
                await amq.publish_data(b"", {"wrong": wrong})
        amq.publish_data(b"", {"big": "x" * 131_000})
        await troubles.came()
        await amq.publish_data(b"goes on", {})
        assert await inbox.came(2) == [b"fits", b"goes on"]
    assert states == ["connecting", "connected", "closed"]


async def test_a_broker_with_small_frames_takes_what_they_hold() -> None:
    with RabbitMQ(settings=["frame_max = 8192"]) as broker:
        inbox = bodies()
        async with connector(broker.uri()) as amq:
            await amq.subscribe_data("reader", {}, inbox)
            with pytest.raises(PayloadError, match="8192"):
                await amq.publish_data(b"", {"big": "x" * 9_000})
            await amq.publish_data(b"y" * 100_000, {"big": "x" * 6_000})
            assert await inbox.came() == [b"y" * 100_000]


async def test_a_full_outbox_refuses_whether_or_not_it_is_awaited(vhost: str) -> None:
    async with connector(vhost, options={"outbox_bytes": 2_000}, on_error=None) as amq:
        with pytest.raises(Overloaded, match="outbox_bytes"):
            for _ in range(1_000):
                amq.publish_data(b"x" * 500, {})
