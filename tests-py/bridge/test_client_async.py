"""The asyncio client: the surface of the blocking one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

import ironbridge.bridge as meta
import pytest


class Clock:
    def __init__(self, name: str = "clock") -> None:
        self.name = name

    @meta.function
    def plain(self, number: int) -> int:
        return 2 * number

    @meta.function
    async def later(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return self.name

    @meta.function
    async def fail(self) -> None:
        raise LookupError("not here")

    @meta.function
    def close(self) -> str:
        return "the endpoint's"


class ClockApi(Protocol):
    async def plain(self, number: int) -> int: ...


@pytest.fixture(scope="module")
def clock() -> Iterator[str]:
    meta.create("clock").daemon()(Clock)
    with meta.run("clock"):
        yield "clock"


async def test_async_with(clock: str) -> None:
    async with meta.connect_async(clock, name="mine") as client:
        assert await client.plain(2) == 4
        assert await client.plain(number=2) == 4
        assert await client.later(0) == "mine"
        assert client.plain is client.plain


async def test_awaited(clock: str) -> None:
    client = await meta.connect_async(clock)
    assert await client.call("plain", 3) == 6
    assert await client.call("close") == "the endpoint's"
    await client.close()
    await client.close()


async def test_many_calls_at_once(clock: str) -> None:
    async with meta.connect_async(clock) as client:
        results = await asyncio.gather(*(client.plain(number) for number in range(500)))
        assert results == [2 * number for number in range(500)]


async def test_failures_and_hints(clock: str) -> None:
    async with meta.connect_async(clock) as client:
        with pytest.raises(LookupError, match="not here") as caught:
            await client.fail()
        assert isinstance(caught.value, meta.RemoteExecutionError)
        with pytest.raises(meta.EndpointNotFound, match='did you mean "later"'):
            _ = client.latr
        assert not hasattr(client, "nowhere")


async def test_options_and_batches(clock: str) -> None:
    async with meta.connect_async(clock) as client:
        with pytest.raises(meta.DeadlineExceeded):
            await client.with_options(timeout=0.05).later(30)
        async with client.batch() as batch:
            first, failed, second = batch.plain(1), batch.fail(), batch.later(0)
        assert (first.result(), second.result()) == (2, "clock")
        with pytest.raises(LookupError):
            failed.result()


async def test_it_describes_and_counts(clock: str) -> None:
    async with meta.connect_async(clock) as client:
        assert client.endpoints() == ["plain", "later", "fail", "close"]
        assert client.describe().endpoints["later"].signature == "(seconds: float) -> str"
        assert (await client.stats())["calls"] >= 0
        assert repr(client) == "<AsyncServiceClient 'clock'>"


async def test_typed(clock: str) -> None:
    async with meta.connect_async(clock, api=ClockApi) as client:
        number: int = await client.plain(2)
        assert number == 4

    class Other(Protocol):
        async def missing(self) -> None: ...

    with pytest.raises(meta.EndpointNotFound, match="it lacks missing"):
        await meta.connect_async(clock, api=Other)


async def test_waiting_for_a_service_does_not_hold_the_loop() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(meta.ServiceNotFound):
        await meta.connect_async("nobody-serves-this", timeout=0.3)
    assert ticks > 5
    ticking.cancel()
