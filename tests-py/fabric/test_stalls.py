"""A server that is slow, or stands still, holds up nobody: neither other calls, nor the connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from harness import RabbitMQ, Relay, lenient

from fabric.clique import Member, caller, eventually, members, served, where


@pytest.fixture
def pair(vhost: str) -> Iterator[list[Member]]:
    """Two servers of one identity, each with few threads."""
    with ExitStack() as stack:
        yield [stack.enter_context(one) for one in members(vhost, "one", "two", options={"workers": 2})]


@pytest.mark.parametrize("quick", ["quick", "quick_plain"])
@pytest.mark.parametrize("slow", ["hold", "hold_plain", "block"])
async def test_quick_calls_pass_one_that_takes_long(vhost: str, pair: list[Member], slow: str, quick: str) -> None:
    async with caller(vhost) as connector:
        service = await served(connector)
        long = getattr(service, slow)(tag="long")
        busy = await where(slow, "long", *pair)
        begun = time.monotonic()
        answers = await asyncio.wait_for(
            asyncio.gather(*(getattr(service, quick)(number=number) for number in range(100))), 20
        )
        assert time.monotonic() - begun < lenient(1)
        assert [answer[0] for answer in answers] == list(range(100))
        assert not long.done()
        busy.release("long")
        assert await asyncio.wait_for(long, 10) == busy.name


async def test_a_server_whose_loop_stands_still_gives_back_what_it_has_not_begun(
    vhost: str, pair: list[Member]
) -> None:
    async with caller(vhost) as connector:
        service = await served(connector)
        long = service.block(tag="long")
        busy = await where("block", "long", *pair)
        answers = await asyncio.gather(*(service.quick(number=number) for number in range(20)))
        assert {answer[1] for answer in answers} == {name for name in ("one", "two") if name != busy.name}
        assert busy.stats()["calls_given_back"] >= 1
        busy.release("long")
        await long


async def test_what_is_not_to_be_redelivered_waits_for_the_server_that_has_it(vhost: str) -> None:
    with Member(vhost) as one:
        async with caller(vhost) as connector:
            service = await served(connector)
            long = service.block(tag="long")
            await where("block", "long", one)
            once = service.once(tag="once")
            await eventually(lambda: one.stats()["calls_taken"] >= 2)
            one.release()
            assert await asyncio.wait_for(asyncio.gather(long, once), 10) == ["one", "one"]
            assert one.events("begun", method="once")[0]["redelivered"] is False


async def test_more_plain_calls_than_threads_are_all_answered(vhost: str) -> None:
    with Member(vhost, options={"workers": 2}) as one:
        async with caller(vhost) as connector:
            service = await served(connector)
            calls = [service.nap_plain(number=number, seconds=0.03) for number in range(60)]
            answers = await asyncio.wait_for(asyncio.gather(*calls), 20)
            assert [answer[0] for answer in answers] == list(range(60))
            assert one.stats()["calls_answered"] == 60, "each runs once"


@pytest.mark.parametrize(("heartbeat", "seconds"), [(1.0, 3.0)])
async def test_a_handler_that_blocks_its_loop_neither_loses_the_connection_nor_its_place_in_the_list(
    vhost: str, heartbeat: float, seconds: float
) -> None:
    await _blocked(vhost, heartbeat, seconds)


@pytest.mark.soak
@pytest.mark.timeout(120)
async def test_a_handler_may_block_its_loop_for_a_minute(vhost: str) -> None:
    await _blocked(vhost, 10.0, 60.0)


async def _blocked(uri: str, heartbeat: float, seconds: float) -> None:
    options = {"heartbeat": heartbeat, "keep_alive_seconds": 0.3, "discovery_cache_ttl": 1.0}
    with Member(uri, options=options) as one:
        async with caller(uri, discovery_cache_ttl=1.0) as connector:
            heard = 0

            def keep_alive(headers: object) -> None:
                nonlocal heard
                heard += 1

            await connector.subscribe_service_keepalives("watch", keep_alive, service_type="actor")
            service = await served(connector)
            await eventually(lambda: connector.list_services(service_type="actor"))
            call = service.block(tag="long")
            await where("block", "long", one)
            end, before, looks = time.monotonic() + seconds, heard, 0
            while time.monotonic() < end:
                assert connector.list_services(service_type="actor"), "it is listed throughout"
                looks += 1
                await asyncio.sleep(0.1)
            assert looks > 5
            assert heard - before >= seconds / lenient(0.6)
            one.release("long")
            assert await asyncio.wait_for(call, 10) == "one"
            assert not one.events("state", state="lost")


async def test_a_callers_loop_that_stands_still_loses_no_connection_and_no_answer(
    rabbitmq: RabbitMQ, vhost_name: str
) -> None:
    states: list[str] = []
    with Relay(rabbitmq.address) as relay, Member(rabbitmq.uri(vhost=vhost_name)) as one:
        through = rabbitmq.uri(vhost=vhost_name, at=relay.address)
        async with caller(through, heartbeat=1, on_state=states.append) as connector:
            service = await served(connector)
            calls = [service.quick(number=number) for number in range(100)]
            time.sleep(2.8)  # noqa: ASYNC251 - what is tested
            answers = await asyncio.wait_for(asyncio.gather(*calls), 5)
            assert [answer[0] for answer in answers] == list(range(100))
            assert await service.quick(number=1) == [1, one.name]
        assert relay.accepted == 1
    assert states[:2] == ["connecting", "connected"] and "lost" not in states


async def test_uvloop_serves_as_asyncio_does(vhost: str) -> None:
    with ExitStack() as stack:
        pair = [stack.enter_context(one) for one in members(vhost, "one", "two", uvloop=True)]
        async with caller(vhost) as connector:
            service = await served(connector)
            long = service.block(tag="long")
            busy = await where("block", "long", *pair)
            held = service.hold(tag="held")
            answers = await asyncio.gather(*(service.quick(number=number) for number in range(50)))
            assert [answer[0] for answer in answers] == list(range(50))
            (idle,) = [one for one in pair if one is not busy]
            assert await where("hold", "held", idle) is idle
            busy.release()
            assert await asyncio.wait_for(long, 10) == busy.name
            idle.kill()
            assert await asyncio.wait_for(held, 10) == busy.name
            busy.tell("leave")
            assert await asyncio.to_thread(busy.wait_exit) == 0, busy.output
