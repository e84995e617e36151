"""Services and brokers that stop once their calls have ended."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from ironbridge.mesh import BaseService, Broker, Context, GracefulStopTimeoutError, action, event

TRACKING = {"enabled": True, "shutdownTimeout": 3000}


class Slow(BaseService):
    """Works until it is let go."""

    def __init__(self, broker: Broker, **settings: Any) -> None:
        super().__init__(broker, "slow", settings)
        self.go, self.begun = asyncio.Event(), asyncio.Event()
        self.ended: list[str] = []

    @action()
    async def work(self, ctx: Context) -> str:
        self.begun.set()
        await self.go.wait()
        self.ended.append("work")
        return "worked"

    @event("noise")
    async def hear(self, params: Any) -> None:
        self.begun.set()
        await self.go.wait()
        self.ended.append("noise")

    async def stopped(self) -> None:
        self.ended.append("stopped")


def broker_of(node: str, namespace: str, tracking: Any = TRACKING, **options: Any) -> Broker:
    return Broker(node, transporter="memory", namespace=namespace, tracking=tracking, stop_delay=0, **options)


@pytest.mark.parametrize("what", ["work", "noise"])
async def test_a_service_stops_when_its_calls_and_events_have_ended(what: str, namespace: str) -> None:
    async with broker_of("one", namespace) as broker:
        slow = Slow(broker)
        await broker.wait_for_services("slow", 5000)
        running = asyncio.create_task(broker.call("slow.work") if what == "work" else broker.emit("noise"))
        async with asyncio.timeout(5):
            await slow.begun.wait()
        stopping = asyncio.create_task(broker.destroy_service(slow))
        done, _ = await asyncio.wait([stopping], timeout=0.05)
        assert not done and slow.ended == []
        slow.go.set()
        async with asyncio.timeout(2):
            await stopping
        await running
        assert slow.ended == [what, "stopped"]


async def test_what_does_not_end_in_its_time_is_logged_and_left(
    namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with broker_of("one", namespace) as broker:
        slow = Slow(broker, **{"$shutdownTimeout": 40})
        await broker.wait_for_services("slow", 5000)
        running = asyncio.create_task(broker.call("slow.work"))
        async with asyncio.timeout(5):
            await slow.begun.wait()
            await broker.destroy_service(slow)
        assert slow.ended == ["stopped"]
        slow.go.set()
        assert await running == "worked"
    raised = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [type(error) for error in raised] == [GracefulStopTimeoutError]
    assert "the service slow stops, though 1 calls or events still run after 40 ms" in caplog.text


async def test_a_broker_stops_when_its_calls_to_other_nodes_have_ended(namespace: str) -> None:
    there, here = broker_of("there", namespace, None), broker_of("here", namespace)
    slow = Slow(there)
    async with there:
        await here.start()
        await here.wait_for_services("slow", 5000)
        running = asyncio.create_task(here.call("slow.work"))
        async with asyncio.timeout(5):
            await slow.begun.wait()
        stopping = asyncio.create_task(here.stop())
        done, _ = await asyncio.wait([stopping], timeout=0.05)
        assert not done
        slow.go.set()
        assert await running == "worked"
        async with asyncio.timeout(2):
            await stopping


async def test_a_call_can_ask_not_to_be_waited_for(namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with broker_of("one", namespace) as broker:
        slow = Slow(broker)
        await broker.wait_for_services("slow", 5000)
        running = asyncio.create_task(broker.call("slow.work", tracking=False))
        async with asyncio.timeout(1):
            await slow.begun.wait()
            await broker.destroy_service(slow)
        assert slow.ended == ["stopped"]
        slow.go.set()
        assert await running == "worked"
    assert "calls or events" not in caplog.text


async def test_without_tracking_nothing_is_waited_for(namespace: str) -> None:
    async with broker_of("one", namespace, {"shutdownTimeout": 3000}) as broker:
        slow = Slow(broker)
        await broker.wait_for_services("slow", 5000)
        running = asyncio.create_task(broker.call("slow.work"))
        async with asyncio.timeout(1):
            await slow.begun.wait()
            await broker.destroy_service(slow)
        slow.go.set()
        assert await running == "worked"
