"""More callers, connections and calls than a daemon has threads: all are served, or told that it is too much."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import ironbridge.bridge as meta
import pytest
from bridge.faulty import PATIENCE, Daemon, program, side_by_side
from harness import lenient, wait_until


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    with Daemon(daemon={"threads": 4}) as running:
        yield running


@pytest.fixture
def client(served: Daemon) -> Iterator[meta.ServiceClient]:
    with served.connect() as client:
        yield client


def _quick(client: meta.ServiceClient, calls: int = 200) -> float:
    """The median time of a call, in seconds."""
    times = []
    for number in range(calls):
        begun = time.perf_counter()
        assert client.echo(number) == number
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def test_five_thousand_idle_connections_cost_little_and_slow_nothing() -> None:
    holder = """
        import resource
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        clients = []
        for _ in range(5000):
            clients.append(meta.connect(NAME))
            assert clients[-1].echo(1) == 1
        print("connected", flush=True)
        sys.stdin.readline()
        print(sum(client.echo(1) for client in clients), flush=True)
        """
    with Daemon() as daemon, daemon.connect() as client:
        _quick(client)
        before = daemon.resident()
        with program(holder, daemon) as holding:
            holding.wait_line("connected", 40)
            assert client.stats()["connections"]["open"] >= 5000
            assert (daemon.resident() - before) / 5000 < 64 << 10
            assert _quick(client) < 0.005
            holding.say("go on")
            holding.wait_line("^5000$", 30)
        # They go, and what they held goes with them.
        wait_until(lambda: client.stats()["connections"]["open"] < 10, 20)
        assert _quick(client) < 0.005


def test_more_callers_than_threads_are_all_served(served: Daemon) -> None:
    def call(number: int) -> list[int]:
        with served.connect() as client:
            return [client.echo(number * 10 + index) for index in range(10)]

    outcomes = side_by_side([partial(call, number) for number in range(64)])
    assert [one.result() for one in outcomes] == [list(range(n * 10, n * 10 + 10)) for n in range(64)]


def test_one_client_serves_64_threads(client: meta.ServiceClient) -> None:
    gate = threading.Barrier(64)

    def work(number: int) -> int:
        gate.wait(PATIENCE)
        total = 0
        for index in range(50):
            value = {"thread": number, "index": index}
            assert client.echo(value) == value
            total += client.count("shared") > 0
        return total

    outcomes = side_by_side([partial(work, number) for number in range(64)])
    assert sum(one.result() for one in outcomes) == 64 * 50
    assert client.counted("shared") == 64 * 50


@pytest.mark.parametrize("depth", [1, 3, 8, 40])
def test_an_endpoint_may_call_back_into_its_own_service(client: meta.ServiceClient, depth: int) -> None:
    assert client.with_options(timeout=PATIENCE).nested(depth) == depth


def test_many_that_call_back_at_once_do_not_stand_still(client: meta.ServiceClient) -> None:
    patient = client.with_options(timeout=PATIENCE)
    outcomes = side_by_side([lambda: patient.nested(6) for _ in range(16)])
    assert [one.result() for one in outcomes] == [6] * 16


def test_two_services_may_call_each_other(served: Daemon, client: meta.ServiceClient) -> None:
    with Daemon(daemon={"threads": 1}) as other:
        patient = client.with_options(timeout=PATIENCE)
        outcomes = side_by_side([lambda: patient.nested(5, [served.name, other.name]) for _ in range(8)])
        assert [one.result() for one in outcomes] == [5] * 8


def test_one_thread_stays_one_while_its_endpoints_call_back() -> None:
    with Daemon(daemon={"threads": 1}) as daemon, daemon.connect() as client:
        patient = client.with_options(timeout=PATIENCE)
        assert patient.nested(5) == 5
        outcomes = side_by_side([lambda: patient.alone(0.002) for _ in range(20)] + [lambda: patient.nested(3)] * 5)
        assert [one.result() for one in outcomes] == [1] * 20 + [3] * 5
        wait_until(lambda: client.stats()["threads"] == 1)


def test_over_the_bound_of_nested_calls_the_next_is_told() -> None:
    with Daemon(environment={"IRONBRIDGE_MAX_NESTED": "5"}) as daemon, daemon.connect() as bounded:
        with pytest.raises(meta.Overloaded, match="IRONBRIDGE_MAX_NESTED"):
            bounded.with_options(timeout=PATIENCE).nested(12)
        assert bounded.nested(4) == 4


def test_a_full_queue_is_told_and_nothing_of_it_runs() -> None:
    environment = {"IRONBRIDGE_MAX_QUEUE": "4", "IRONBRIDGE_GRACE": "0.2"}
    with Daemon(environment=environment, daemon={"threads": 2}) as daemon, ThreadPoolExecutor(40) as pool:
        client = daemon.connect().with_options(timeout=PATIENCE)
        calls = [pool.submit(client.hold, f"{number}") for number in range(40)]
        # Two run and four wait; whoever came when none was running yet may be one more.
        wait_until(lambda: sum(one.done() for one in calls) >= 40 - 2 - 4 - 1)
        told = [one.exception() for one in calls if one.done()]
        assert all(isinstance(error, meta.Overloaded) and not error.may_have_run for error in told), told
        daemon.terminate()
        rest = [one.exception(PATIENCE) for one in calls]
        # One more answer may have been on its way.
        assert len(told) <= sum(isinstance(error, meta.Overloaded) for error in rest) <= 40 - 2 - 4
        assert all(isinstance(error, meta.IronbridgeError) for error in rest), rest


def _held(client: meta.ServiceClient, name: str) -> bool:
    return bool(client.state(name) == "held")


def test_a_slow_endpoint_delays_no_quick_one(served: Daemon, client: meta.ServiceClient) -> None:
    with ThreadPoolExecutor(2) as pool:
        for slow in ("hold", "hold_async"):
            names = [f"slow {slow} {number}" for number in range(2)]
            under_way = [pool.submit(client.call, slow, name) for name in names]
            for name in names:
                wait_until(partial(_held, client, name))
            assert [client.echo(number) for number in range(100)] == list(range(100))
            for name in names:
                client.release(name)
            assert [one.result(PATIENCE) for one in under_way] == names


async def test_a_slow_endpoint_delays_no_quick_one_on_the_same_connection(served: Daemon) -> None:
    async with meta.connect_async(served.name) as client:
        for slow in ("hold", "hold_async"):
            names = [f"slow on one {slow} {number}" for number in range(2)]
            under_way = [asyncio.ensure_future(client.call(slow, name)) for name in names]
            # In the same turn as the slow ones, and after them; nobody lets those go before.
            async with asyncio.timeout(PATIENCE):
                together = await asyncio.gather(*[client.echo(number) for number in range(50)])
                assert together == list(range(50))
                for number in range(50):
                    assert await client.echo(number) == number
            assert not any(one.done() for one in under_way)
            for name in names:
                await client.release(name)
            assert await asyncio.gather(*under_way) == names


def test_an_endpoint_that_computes_delays_others_little(client: meta.ServiceClient) -> None:
    assert client.switch_interval() == pytest.approx(0.0005)
    _quick(client)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.spin, "spin")
        wait_until(lambda: client.state("spin") == "held")
        # At the interpreter's own interval every call would take 5 ms and more.
        median = _quick(client)
        client.release("spin")
        assert under_way.result(PATIENCE) > 0
    assert median < lenient(0.004)
