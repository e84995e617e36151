"""Several servers of one identity: whichever is free takes a call, and the next one takes those of one that dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from harness import lenient
from ironbridge.errors import ConnectionLost, ServiceUnavailable

from fabric.clique import Member, caller, eventually, members, served, where


@pytest.fixture
def pair(vhost: str) -> Iterator[list[Member]]:
    """Two servers of one identity."""
    with ExitStack() as stack:
        yield [stack.enter_context(one) for one in members(vhost, "one", "two")]


def other(pair: list[Member], than: Member) -> Member:
    return next(one for one in pair if one is not than)


@pytest.mark.parametrize("method", ["hold", "hold_plain"])
async def test_the_next_answers_a_call_whose_server_was_killed(vhost: str, pair: list[Member], method: str) -> None:
    async with caller(vhost) as connector:
        call = getattr(await served(connector), method)(tag="a")
        one = await where(method, "a", *pair)
        two = other(pair, one)
        one.kill()
        assert await where(method, "a", two) is two
        assert [event["redelivered"] for event in one.events("begun") + two.events("begun")] == [False, True]
        assert not call.done()
        two.release("a")
        assert await call == two.name
        assert connector.stats()["calls_open"] == 0


@pytest.mark.parametrize("method", ["once", "once_plain"])
async def test_what_is_not_to_be_redelivered_fails_at_its_caller_and_runs_nowhere_else(
    vhost: str, pair: list[Member], method: str
) -> None:
    async with caller(vhost) as connector:
        service = await served(connector)
        call = getattr(service, method)(tag="a")
        one = await where(method, "a", *pair)
        two = other(pair, one)
        one.kill()
        with pytest.raises(ConnectionLost, match=rf"{method}.*not to be run again") as failed:
            await asyncio.wait_for(call, 10)
        assert failed.value.fate == "outcome unknown"
        assert await service.quick(number=1) == [1, two.name], "the other serves on"
        assert not two.events("begun")


async def test_a_caller_is_told_soon_that_the_last_server_was_killed(vhost: str) -> None:
    async with caller(vhost) as connector:
        service = await served(connector)
        methods = ("hold", "hold_plain", "once", "once_plain")
        with Member(vhost) as last:
            calls = [getattr(service, method)(tag="a") for method in methods]
            for method in methods:
                await where(method, "a", last)
            last.kill()
        begun = time.monotonic()
        for call in calls:
            with pytest.raises(ConnectionLost, match=r"last server of stage\.actor\.hamlet") as failed:
                await asyncio.wait_for(call, 30)
            assert failed.value.fate == "outcome unknown"
        assert time.monotonic() - begun < lenient(4)
        with pytest.raises(ServiceUnavailable, match="nobody serves") as refused:
            await service.quick(number=1)
        assert refused.value.fate == "rejected"


async def test_a_server_that_comes_at_once_in_place_of_the_last_does_not_hide_that_a_call_is_lost(vhost: str) -> None:
    async with caller(vhost) as connector:
        service = await served(connector)
        with Member(vhost) as last:
            call, again = service.hold(tag="a"), service.with_options(idempotent=True).hold(tag="b")
            await where("hold", "a", last)
            await where("hold", "b", last)
            last.kill()
        with Member(vhost, "two") as two:
            two.release()
            with pytest.raises(ConnectionLost) as failed:
                await asyncio.wait_for(call, 10)
            assert failed.value.fate == "outcome unknown"
            assert await asyncio.wait_for(again, 10) == "two", "an idempotent call is sent again"


async def test_of_many_calls_under_way_none_is_lost_while_servers_are_killed_one_after_another(vhost: str) -> None:
    names = ["one", "two", "three", "four"]
    with ExitStack() as stack:
        servers = [stack.enter_context(one) for one in members(vhost, *names, options={"prefetch": 200})]
        async with caller(vhost) as connector:
            service = await served(connector)
            tags = [str(number) for number in range(100)]
            calls = [service.hold(tag=tag) for tag in tags]

            def all_run(among: list[Member]) -> bool:
                return {event["tag"] for one in among for event in one.events("begun")} == set(tags)

            await eventually(lambda: all_run(servers), what="all have begun")
            while len(servers) > 1:
                servers.pop(0).kill()
                await eventually(lambda: all_run(servers), what=f"all have begun in {len(servers)} servers")
            assert not any(call.done() for call in calls)
            last = servers[0]
            last.release()
            assert await asyncio.gather(*calls) == [last.name] * len(calls)
            assert last.stats()["calls_answered"] == len(calls)
            begun = [event["tag"] for event in last.events("begun")]
            assert sorted(begun) == sorted(tags), "none runs twice in one server"


@pytest.mark.parametrize("method", ["nap", "nap_plain"])
async def test_of_a_stream_of_calls_none_is_lost_and_none_answered_as_another_while_servers_are_killed(
    vhost: str, method: str
) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(one) for one in members(vhost, "one", "two", "three")]
        async with caller(vhost) as connector:
            call = getattr(await served(connector), method)
            answers: dict[int, list[Any]] = {}

            async def stream(first: int) -> None:
                for number in range(first, first + 30):
                    answer = await call(number=number, seconds=0.01)
                    assert number not in answers
                    answers[number] = answer

            streams = [asyncio.ensure_future(stream(first)) for first in range(0, 300, 30)]
            for reached, victim in ((60, servers[0]), (160, servers[1])):
                await eventually(lambda count=reached: len(answers) >= count)  # type: ignore[misc]
                victim.kill()
            await asyncio.wait_for(asyncio.gather(*streams), 30)
            assert {number: answer[0] for number, answer in answers.items()} == {n: n for n in range(300)}
            assert connector.stats()["calls_open"] == 0


async def test_a_server_that_leaves_in_good_order_ends_what_runs_and_the_others_go_on(
    vhost: str, pair: list[Member]
) -> None:
    async with caller(vhost) as connector:
        service = await served(connector)
        call = service.hold(tag="a")
        one = await where("hold", "a", *pair)
        two = other(pair, one)
        one.tell("leave")
        answers = [await service.quick(number=number) for number in range(50)]
        assert [answer[0] for answer in answers] == list(range(50))
        assert {answer[1] for answer in answers[-10:]} == {two.name}, "the one that leaves takes no more"
        assert not call.done()
        one.release("a")
        assert await asyncio.wait_for(call, 10) == one.name
        assert await asyncio.to_thread(one.wait_exit) == 0, one.output


async def test_what_a_leaving_server_could_not_end_in_its_time_is_run_by_the_next(
    vhost: str,
) -> None:
    with ExitStack() as stack:
        pair = [stack.enter_context(one) for one in members(vhost, "one", "two", grace=0.3)]
        async with caller(vhost) as connector:
            call = (await served(connector)).hold(tag="a")
            one = await where("hold", "a", *pair)
            two = other(pair, one)
            one.tell("leave")
            assert await where("hold", "a", two) is two
            two.release("a")
            assert await asyncio.wait_for(call, 10) == two.name
            assert await asyncio.to_thread(one.wait_exit) == 0, one.output
            assert one.events("trouble", place="close()")
