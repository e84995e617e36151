"""Instances under pressure: built once, closed after their last call, and nothing of one call shows in the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import ironbridge.bridge as meta
import pytest
from bridge.faulty import PATIENCE, Daemon, side_by_side
from harness import wait_until


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    with Daemon(daemon={"threads": 4}) as running:
        yield running


@pytest.fixture
def client(served: Daemon) -> Iterator[meta.ServiceClient]:
    with served.connect() as client:
        yield client


def test_fifty_threads_that_ask_for_a_new_instance_have_it_built_once(
    served: Daemon, client: meta.ServiceClient
) -> None:
    gate = threading.Barrier(50)

    def work() -> tuple[str, int]:
        with served.connect("once", building=0.3) as own:
            gate.wait(PATIENCE)
            found: tuple[str, int] = own.whoami()
            return found

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(side_by_side, [work] * 50)
        # Those who wait for it hold no thread: others are served meanwhile.
        wait_until(lambda: client.stats()["cache"]["building"] == 1)
        assert client.echo("meanwhile") == "meanwhile"
        assert client.stats()["cache"]["building"] == 1
        found = {one.result() for one in asked.result(PATIENCE)}
    assert len(found) == 1
    assert client.built().count("once") == 1


def test_calls_that_waited_for_an_instance_run_side_by_side(served: Daemon) -> None:
    def work(number: int) -> object:
        with served.connect(f"together {number}", building=0.02) as own:
            # One after the other they would wait for each other in vain.
            return own.meet(4)

    for number in range(30):
        met = side_by_side([partial(work, number)] * 4)
        assert {one.result() for one in met} == {f"together {number}"}


def test_a_constructor_that_fails_fails_for_all_who_wait_and_is_tried_again(
    served: Daemon, client: meta.ServiceClient
) -> None:
    def work() -> BaseException | None:
        with (
            served.connect("broken", building=0.2) as own,
            pytest.raises(ValueError, match="cannot be built") as caught,
        ):
            own.whoami()
        return caught.value

    assert len(side_by_side([work] * 10)) == 10
    tried = client.built().count("broken")
    assert tried < 10
    work()
    assert client.built().count("broken") == tried + 1


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_what_is_evicted_is_closed_after_its_last_call_and_built_again_when_called(kind: str) -> None:
    with Daemon(options={"cache_size": 2}) as daemon, daemon.connect() as watcher, ThreadPoolExecutor(1) as pool:
        first = daemon.connect(f"{kind} first")
        first.whoami()
        under_way = pool.submit(first.linger, 0.5)
        wait_until(lambda: watcher.state(f"{kind} first") == "held")
        for number in range(3):
            with daemon.connect(f"{kind} {number}") as other:
                other.whoami()
        # It is out of the cache, and still whole for the call that has it.
        assert under_way.result(PATIENCE) == f"{kind} first open"
        wait_until(lambda: f"{kind} first" in watcher.closed())
        wait_until(lambda: watcher.closed().count(f"{kind} 0") == 1)
        assert first.whoami()[0] == f"{kind} first"
        assert watcher.built().count(f"{kind} first") == 2
        assert watcher.stats()["cache"]["rebuilt"] >= 1


def _evict(daemon: Daemon) -> None:
    with daemon.connect("another") as other:
        other.whoami()


def test_told_to_fail_every_connection_of_a_client_hears_that_its_instance_was_evicted() -> None:
    options = {"cache_size": 1, "on_evict": "error"}
    with Daemon(options=options) as daemon, daemon.connect() as watcher, ThreadPoolExecutor(1) as pool:
        client = daemon.connect("mine")
        client.whoami()
        _evict(daemon)
        # The connection that knew the instance is busy, so the next call opens one that never saw it.
        under_way = pool.submit(client.hold, "busy")
        wait_until(lambda: watcher.state("busy") == "held")
        for _ in range(2):
            with pytest.raises(meta.InstanceEvicted, match="connect again"):
                client.whoami()
        watcher.release("busy")
        assert under_way.result(PATIENCE) == "busy"
        with pytest.raises(meta.InstanceEvicted):
            client.whoami()
        with daemon.connect("mine") as again:
            assert again.whoami()[0] == "mine"
        assert watcher.built().count("mine") == 2


async def test_told_to_fail_it_does_so_on_either_lane_of_an_asyncio_client() -> None:
    with Daemon(options={"cache_size": 1, "on_evict": "error"}) as daemon:
        async with meta.connect_async(daemon.name, "mine") as client:
            assert (await client.whoami())[0] == "mine"
            _evict(daemon)
            # The first call of a coroutine opens a connection of its own.
            for call in (client.whoami_async, client.whoami):
                with pytest.raises(meta.InstanceEvicted):
                    await call()
        async with meta.connect_async(daemon.name, "mine") as client:
            assert (await client.whoami_async())[0] == "mine"


def test_an_instance_that_nobody_calls_is_closed_when_its_time_is_over() -> None:
    with Daemon(options={"cache_ttl": 0.2}) as daemon, daemon.connect() as watcher:
        with daemon.connect("short-lived") as client:
            client.whoami()
        wait_until(lambda: "short-lived" in watcher.closed())


@pytest.mark.parametrize("remember", ["remember", "remember_async"])
def test_a_context_variable_of_one_call_is_not_seen_by_the_next(client: meta.ServiceClient, remember: str) -> None:
    assert [client.call(remember, f"{number}") for number in range(20)] == ["nothing"] * 20
    outcomes = side_by_side([lambda: client.call(remember, "beside") for _ in range(16)])
    assert {one.result() for one in outcomes} == {"nothing"}
    with client.batch() as batch:
        together = [batch.call(remember, "in one batch") for _ in range(10)]
    assert {one.result() for one in together} == {"nothing"}
