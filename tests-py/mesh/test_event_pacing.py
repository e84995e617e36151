"""Listeners that are throttled or debounced: what they hear of many events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ironbridge.mesh import BaseService, Broker, Context, event

from mesh.meeting import Meeting


class Ears(BaseService):
    """Hears events at a pace."""

    def __init__(self, broker: Broker, name: str = "ears") -> None:
        super().__init__(broker, name)
        self.heard: list[Any] = []
        self.news = asyncio.Event()

    def hear(self, what: Any) -> None:
        self.heard.append(what)
        self.news.set()

    async def wait(self) -> list[Any]:
        """All that was heard, once there is something new."""
        async with asyncio.timeout(5):
            await self.news.wait()
        self.news.clear()
        return self.heard

    @event("throttled.*", throttle=100)
    async def throttled(self, ctx: Context) -> None:
        self.hear(ctx.params)

    @event("debounced.*", debounce=60)
    async def debounced(self, params: Any) -> None:
        self.hear(params)

    @event("failing", debounce=1)
    def failing(self, params: Any) -> None:
        self.hear(params)
        raise ValueError("deaf")


async def test_a_throttled_listener_hears_the_first_event_of_each_while(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    ears = Ears(broker)
    async with broker:
        for number in range(5):
            await broker.emit("throttled.a", number)
        assert ears.heard == [0]
        # A service that comes later does not begin the time again.
        Ears(broker, "others")
        await broker.wait_for_services("others", 5000)
        await broker.emit("throttled.a", 5)
        assert ears.heard == [0]
        await asyncio.sleep(0.11)
        await broker.emit("throttled.b", 6)
        assert ears.heard == [0, 6]


async def test_a_debounced_listener_hears_the_last_event_once_they_have_ceased(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    ears = Ears(broker)
    async with broker:
        begun = asyncio.get_running_loop().time()
        for number in range(5):
            await broker.emit("debounced.a", number)
        assert ears.heard == []
        assert await ears.wait() == [4]
        assert asyncio.get_running_loop().time() - begun >= 0.06
        await broker.emit("debounced.b", 5)
        assert await ears.wait() == [4, 5]


async def test_a_debounced_listener_that_fails_is_logged(namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace)
    ears = Ears(broker)
    async with broker:
        await broker.emit("failing", 1)
        await ears.wait()
    assert "the handler of failing in ears has failed" in caplog.text


async def test_what_a_debounced_listener_waits_for_ends_with_the_broker(namespace: str) -> None:
    broker = Broker("one", transporter="memory", namespace=namespace, stop_delay=0)
    ears = Ears(broker)
    async with broker:
        await broker.emit("debounced.a", 1)
    await asyncio.sleep(0.08)
    assert ears.heard == []


async def test_events_of_javascript_come_at_the_listeners_pace(at_redis: Meeting) -> None:
    peer = at_redis.js("4", "theirs", services=[])
    broker = Broker("ours", transporter=at_redis.url, namespace=at_redis.namespace)
    ears = Ears(broker)
    async with broker:
        await asyncio.to_thread(peer.ask, "waitForServices", services=["ears"])
        for number in range(5):
            await asyncio.to_thread(peer.emit, "debounced.a", number)
        assert await ears.wait() == [4]
